#include "support/test_ca.hpp"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstdio>
#include <memory>
#include <stdexcept>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/free.hpp>

namespace acme_agent::test {
namespace {

struct FreeExtensions {
  void operator()(STACK_OF(X509_EXTENSION) * extensions) const {
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  }
};
using GeneralNames = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

void must(bool succeeded) {
  if (!succeeded) throw std::runtime_error("the test CA failed: OpenSSL refused a step");
}

void set_time(ASN1_TIME* time, TimePoint value) {
  using namespace std::chrono;
  const auto day = floor<days>(value);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<seconds>(value - day));
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%04d%02u%02u%02d%02d%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  must(ASN1_TIME_set_string_X509(time, text.data()) == 1);
}

GeneralNames general_names(const std::vector<Identifier>& identifiers) {
  GeneralNames names(GENERAL_NAMES_new());
  for (const Identifier& identifier : identifiers) {
    GENERAL_NAME* name =
        a2i_GENERAL_NAME(nullptr, nullptr, nullptr, identifier.type == Identifier::Type::ip ? GEN_IPADD : GEN_DNS,
                         identifier.value.c_str(), 0);
    must(name != nullptr && sk_GENERAL_NAME_push(names.get(), name) > 0);
  }
  return names;
}

/// What `subject_key` shall be called, signed by `issuer_key`; a root if `issuer` is null.
Certificate make(const std::string& common_name, EVP_PKEY* subject_key, const std::vector<const char*>& constraints,
                 GENERAL_NAMES* names, Validity validity, X509* issuer, EVP_PKEY* issuer_key) {
  const std::unique_ptr<X509, Free<X509_free>> certificate(X509_new());
  must(X509_set_version(certificate.get(), X509_VERSION_3) == 1);

  std::array<unsigned char, 17> serial{};
  must(RAND_bytes(serial.data(), static_cast<int>(serial.size())) == 1);
  if (serial[0] == 0) serial[0] = 1;  // never shorter; half of them need a zero in front to be positive
  must(ASN1_STRING_set(X509_get_serialNumber(certificate.get()), serial.data(), static_cast<int>(serial.size())) == 1);
  set_time(X509_getm_notBefore(certificate.get()), validity.not_before);
  set_time(X509_getm_notAfter(certificate.get()), validity.not_after);

  X509_NAME* subject = X509_get_subject_name(certificate.get());
  if (!common_name.empty()) {
    must(X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0) == 1);
  }
  must(X509_set_issuer_name(certificate.get(), issuer != nullptr ? X509_get_subject_name(issuer) : subject) == 1);
  must(X509_set_pubkey(certificate.get(), subject_key) == 1);

  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer != nullptr ? issuer : certificate.get(), certificate.get(), nullptr, nullptr, 0);
  const auto add = [&](int nid, const char* value) {
    const std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
        X509V3_EXT_conf_nid(nullptr, &context, nid, value));
    must(extension != nullptr && X509_add_ext(certificate.get(), extension.get(), -1) == 1);
  };
  add(NID_basic_constraints, constraints[0]);
  add(NID_key_usage, constraints[1]);
  if (constraints.size() > 2) add(NID_ext_key_usage, constraints[2]);
  add(NID_subject_key_identifier, "hash");
  if (issuer != nullptr) add(NID_authority_key_identifier, "keyid");
  if (names != nullptr) {
    // RFC 5280 4.2.1.6: critical where the subject is empty.
    must(X509_add1_ext_i2d(certificate.get(), NID_subject_alt_name, names, common_name.empty() ? 1 : 0, 0) == 1);
  }
  must(X509_sign(certificate.get(), issuer_key, EVP_sha256()) > 0);

  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate.get(), &der);
  must(size > 0);
  const std::string bytes(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return Certificate::from_der(bytes);
}

Validity always() {
  using namespace std::chrono;
  return {sys_days{year{2000} / 1 / 1}, sys_days{year{9999} / 12 / 31} + hours(23) + minutes(59) + seconds(59)};
}

const std::vector<const char*> authority_constraints = {"critical,CA:TRUE", "critical,keyCertSign,cRLSign"};
const std::vector<const char*> leaf_constraints = {"critical,CA:FALSE", "critical,digitalSignature,keyEncipherment",
                                                   "serverAuth"};

Certificate make_leaf(EVP_PKEY* key, GENERAL_NAMES* names, Validity validity, const Certificate& issuer,
                      const PrivateKey& issuer_key) {
  std::string common_name;
  for (int i = 0; i < sk_GENERAL_NAME_num(names) && common_name.empty(); ++i) {
    int kind = 0;
    const auto* value =
        static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &kind));
    if (kind == GEN_DNS && ASN1_STRING_length(value) <= 64) {
      common_name.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                         static_cast<std::size_t>(ASN1_STRING_length(value)));
    }
  }
  return make(common_name, key, leaf_constraints, names, validity, issuer.handle(), issuer_key.handle());
}

[[noreturn]] void refuse(const std::string& reason) {
  ERR_clear_error();
  throw Error(Remedy::retry, "the certificate signing request " + reason);
}

}  // namespace

TestCa::TestCa(KeyType type)
    : root_key_(PrivateKey::generate(type)),
      intermediate_key_(PrivateKey::generate(type)),
      root_(
          make("Test Root", root_key_.handle(), authority_constraints, nullptr, always(), nullptr, root_key_.handle())),
      intermediate_(make("Test Intermediate", intermediate_key_.handle(), authority_constraints, nullptr, always(),
                         root_.handle(), root_key_.handle())) {}

CertificateChain TestCa::issue(const PrivateKey& key, const std::vector<Identifier>& identifiers,
                               Validity validity) const {
  const GeneralNames names = general_names(identifiers);
  return CertificateChain(
      {make_leaf(key.handle(), names.get(), validity, intermediate_, intermediate_key_), intermediate_});
}

CertificateChain TestCa::issue_for_csr(std::string_view der, Validity validity) const {
  const auto* position = reinterpret_cast<const unsigned char*>(der.data());
  const std::unique_ptr<X509_REQ, Free<X509_REQ_free>> request(
      d2i_X509_REQ(nullptr, &position, static_cast<long>(der.size())));
  if (request == nullptr || position != reinterpret_cast<const unsigned char*>(der.data()) + der.size()) {
    refuse("is damaged");
  }
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) refuse("is not signed with its own key");
  const std::unique_ptr<STACK_OF(X509_EXTENSION), FreeExtensions> extensions(X509_REQ_get_extensions(request.get()));
  const GeneralNames names(
      static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
  if (sk_GENERAL_NAME_num(names.get()) <= 0) refuse("asks for no name");
  return CertificateChain({make_leaf(key, names.get(), validity, intermediate_, intermediate_key_), intermediate_});
}

}  // namespace acme_agent::test
