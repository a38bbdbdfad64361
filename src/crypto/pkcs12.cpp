#include <openssl/pkcs12.h>

#include <acme_agent/crypto/pkcs12.hpp>

#include "openssl.hpp"

namespace acme_agent {

Secret to_pkcs12(const CertifiedKey& pair, const Secret& password) {
  constexpr const char* doing = "to make a keystore";
  const std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * borrowed) { sk_X509_free(borrowed); })> rest(
      sk_X509_new_null());
  require(rest != nullptr, doing);
  const std::vector<Certificate>& all = pair.chain.certificates();
  for (auto certificate = all.begin() + 1; certificate != all.end(); ++certificate)
    require(sk_X509_push(rest.get(), certificate->handle()) > 0, doing);
  const std::unique_ptr<PKCS12, Free<PKCS12_free>> keystore(
      PKCS12_create(password.reveal().data(), pair.chain.leaf().subject().c_str(), pair.key.handle(),
                    all.front().handle(), rest.get(), 0, 0, 0, 0, 0));
  require(keystore != nullptr, doing);
  unsigned char* der = nullptr;
  const int size = i2d_PKCS12(keystore.get(), &der);
  const std::unique_ptr<unsigned char, FreeByOpenssl> owned(der);
  require(size > 0, doing);
  return Secret(std::string(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)));
}

}  // namespace acme_agent
