#include <openssl/pem.h>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/issuing.hpp>

#include "general_names.hpp"
#include "key_type.hpp"
#include "openssl.hpp"

namespace acme_agent {
namespace {

using Request = std::unique_ptr<X509_REQ, Free<X509_REQ_free>>;

Request parse(std::string_view text) {
  if (text.starts_with("-----BEGIN")) {
    const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    require(bio != nullptr, "to read a certificate signing request");
    return Request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  }
  const auto* begin = reinterpret_cast<const unsigned char*>(text.data());
  const unsigned char* end = begin;
  Request request(d2i_X509_REQ(nullptr, &end, static_cast<long>(text.size())));
  return end == begin + text.size() ? std::move(request) : nullptr;
}

/// Signed by the key that it is for.
Request sound(std::string_view text) {
  constexpr std::size_t longest = 65536;
  Request request = text.size() > longest ? nullptr : parse(text);
  if (!request || X509_REQ_verify(request.get(), X509_REQ_get0_pubkey(request.get())) != 1) {
    take_openssl_reason();
    throw Error(Remedy::ask_operator, "there is no sound certificate signing request in it");
  }
  return request;
}

}  // namespace

PublicKey PublicKey::from_csr(std::string_view text) {
  std::shared_ptr<EVP_PKEY> key(X509_REQ_get_pubkey(sound(text).get()), Free<EVP_PKEY_free>());
  if (!key_type_of(key.get()))
    throw Error(Remedy::ask_operator, "the certificate signing request is for a kind of key that cannot be used; " +
                                          join(key_type_words()) + " can");
  name_curve(key.get());
  return PublicKey(std::move(key));
}

SigningRequest read_csr(std::string_view text, const PrivateKey& key) {
  const Request request = sound(text);
  if (EVP_PKEY_eq(X509_REQ_get0_pubkey(request.get()), key.handle()) != 1)
    throw Error(Remedy::ask_operator, "the certificate signing request was made with another key");
  const std::unique_ptr<STACK_OF(X509_EXTENSION), FreeExtensions> extensions(X509_REQ_get_extensions(request.get()));
  const std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>> names(
      static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
  unsigned char* der = nullptr;
  const int size = i2d_X509_REQ(request.get(), &der);
  const std::unique_ptr<unsigned char, FreeByOpenssl> owned(der);
  require(size > 0, "to write a certificate signing request");
  take_openssl_reason();
  return {{reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)}, identifiers_in(names.get())};
}

}  // namespace acme_agent
