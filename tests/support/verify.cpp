#include "support/verify.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <stdexcept>

#include <acme_agent/base/free.hpp>

namespace acme_agent::test {
namespace {

void must(bool succeeded) {
  if (!succeeded) throw std::runtime_error("a chain cannot be looked at: OpenSSL refused a step");
}

}  // namespace

std::string verify(const Verification& verification) {
  const std::unique_ptr<X509_STORE, Free<X509_STORE_free>> store(X509_STORE_new());
  const CertificateChain roots = CertificateChain::from_pem(verification.roots);
  for (const Certificate& root : roots.certificates()) must(X509_STORE_add_cert(store.get(), root.handle()) == 1);
  const std::unique_ptr<BIO, Free<BIO_free_all>> crls(
      BIO_new_mem_buf(verification.crls.data(), static_cast<int>(verification.crls.size())));
  while (X509_CRL* crl = PEM_read_bio_X509_CRL(crls.get(), nullptr, nullptr, nullptr)) {
    must(X509_STORE_add_crl(store.get(), crl) == 1);
    X509_CRL_free(crl);
  }
  const std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * borrowed) { sk_X509_free(borrowed); })> presented(
      sk_X509_new_null());
  for (const Certificate& certificate : verification.presented)
    must(sk_X509_push(presented.get(), certificate.handle()) > 0);
  const std::unique_ptr<X509_STORE_CTX, Free<X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
  must(X509_STORE_CTX_init(context.get(), store.get(), verification.presented.front().handle(), presented.get()) == 1);
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  must(X509_VERIFY_PARAM_set_purpose(parameters,
                                     verification.as_server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT) == 1);
  unsigned long flags = X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE;
  if (!verification.crls.empty()) flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
  must(X509_VERIFY_PARAM_set_flags(parameters, flags) == 1);
  X509_VERIFY_PARAM_set_time(parameters, std::chrono::system_clock::to_time_t(verification.at));
  if (!verification.host.empty() && X509_VERIFY_PARAM_set1_ip_asc(parameters, verification.host.c_str()) != 1)
    must(X509_VERIFY_PARAM_set1_host(parameters, verification.host.c_str(), 0) == 1);
  const int result = X509_verify_cert(context.get());
  ERR_clear_error();
  return result == 1 ? "ok" : X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

}  // namespace acme_agent::test
