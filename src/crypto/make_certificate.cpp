#include <algorithm>
#include <array>
#include <cstdio>

#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/digest.hpp>
#include <acme_agent/crypto/tls_alpn.hpp>

#include "openssl.hpp"
#include "placeholder_mark.hpp"

namespace acme_agent {
namespace {

using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;
using GeneralNames = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

constexpr std::size_t max_common_name = 64;  // ub-common-name, RFC 5280 A.1

GENERAL_NAME* general_name(const Identifier& identifier) {
  std::unique_ptr<GENERAL_NAME, Free<GENERAL_NAME_free>> name(GENERAL_NAME_new());
  require(name != nullptr, "to write a name");
  if (identifier.type == Identifier::Type::ip) {
    ASN1_OCTET_STRING* address = a2i_IPADDRESS(identifier.value.c_str());
    if (address == nullptr) {
      take_openssl_reason();
      throw Error(Remedy::ask_operator, "'" + printable(identifier.value) + "' is not an IP address");
    }
    GENERAL_NAME_set0_value(name.get(), GEN_IPADD, address);
  } else {
    std::unique_ptr<ASN1_IA5STRING, Free<ASN1_IA5STRING_free>> text(ASN1_IA5STRING_new());
    require(text != nullptr &&
                ASN1_STRING_set(text.get(), identifier.value.data(), static_cast<int>(identifier.value.size())) == 1,
            "to write a name");
    GENERAL_NAME_set0_value(name.get(), GEN_DNS, text.release());
  }
  return name.release();
}

Extension alternative_names(const std::vector<Identifier>& identifiers) {
  const GeneralNames names(GENERAL_NAMES_new());
  require(names != nullptr, "to write names");
  for (const Identifier& identifier : identifiers) sk_GENERAL_NAME_push(names.get(), general_name(identifier));
  Extension extension(X509V3_EXT_i2d(NID_subject_alt_name, 0, names.get()));
  require(extension != nullptr, "to write names");
  return extension;
}

void add_entry(X509_NAME* name, int nid, std::string_view text) {
  require(X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()), -1, 0) == 1,
          "to write a name");
}

void add_common_name(X509_NAME* name, const std::vector<Identifier>& identifiers) {
  const auto fitting = std::ranges::find_if(identifiers, [](const Identifier& identifier) {
    return identifier.type == Identifier::Type::dns && identifier.value.size() <= max_common_name;
  });
  if (fitting != identifiers.end()) add_entry(name, NID_commonName, fitting->value);
}

void add_extension(X509* certificate, int nid, const char* value) {
  const Extension extension(X509V3_EXT_conf_nid(nullptr, nullptr, nid, value));
  require(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1, "to write an extension");
}

/// Not by way of time_t, which ends in 2038 on 32-bit machines.
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
  require(ASN1_TIME_set_string_X509(time, text.data()) == 1, "to write a date");
}

void set_random_serial(X509* certificate) {
  const Bignum serial(BN_new());
  require(serial != nullptr && BN_rand(serial.get(), 128, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate)) != nullptr,
          "to make a serial number");
}

/// RFC 8737 3: critical, the digest of the key authorization as an octet string.
Extension acme_identifier(std::string_view key_authorization) {
  const std::unique_ptr<ASN1_OBJECT, Free<ASN1_OBJECT_free>> kind(OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1));
  const std::unique_ptr<ASN1_OCTET_STRING, Free<ASN1_OCTET_STRING_free>> value(ASN1_OCTET_STRING_new());
  const std::string digest = sha256(key_authorization);
  const std::string der = std::string("\x04\x20") + digest;
  require(kind != nullptr && value != nullptr &&
              ASN1_OCTET_STRING_set(value.get(), reinterpret_cast<const unsigned char*>(der.data()),
                                    static_cast<int>(der.size())) == 1,
          "to write an extension");
  Extension extension(X509_EXTENSION_create_by_OBJ(nullptr, kind.get(), 1, value.get()));
  require(extension != nullptr, "to write an extension");
  return extension;
}

/// A certificate from an hour before `now` to `now` + `lifetime`, without names.
X509Handle draft(const PrivateKey& key, TimePoint now, Duration lifetime) {
  X509Handle certificate(X509_new());
  require(certificate != nullptr && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
              X509_set_pubkey(certificate.get(), key.handle()) == 1,
          "to make a certificate");
  set_random_serial(certificate.get());
  set_time(X509_getm_notBefore(certificate.get()), now - std::chrono::hours(1));
  set_time(X509_getm_notAfter(certificate.get()), now + lifetime);
  add_extension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE");
  return certificate;
}

/// The draft, issued by its own subject.
Certificate self_signed(X509* certificate, const PrivateKey& key) {
  require(X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1, "to write a name");
  require(X509_sign(certificate, key.handle(), EVP_sha256()) > 0, "to sign a certificate");
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  const std::unique_ptr<unsigned char, FreeByOpenssl> owned(der);
  require(size > 0, "to write a certificate");
  return Certificate::from_der({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
}

}  // namespace

std::string make_csr(const PrivateKey& key, const std::vector<Identifier>& identifiers) {
  const std::unique_ptr<X509_REQ, Free<X509_REQ_free>> request(X509_REQ_new());
  require(request != nullptr && X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
              X509_REQ_set_pubkey(request.get(), key.handle()) == 1,
          "to make a certificate signing request");
  add_common_name(X509_REQ_get_subject_name(request.get()), identifiers);

  const std::unique_ptr<STACK_OF(X509_EXTENSION), FreeExtensions> extensions(sk_X509_EXTENSION_new_null());
  require(extensions != nullptr &&
              sk_X509_EXTENSION_push(extensions.get(), alternative_names(identifiers).release()) > 0 &&
              X509_REQ_add_extensions(request.get(), extensions.get()) == 1 &&
              X509_REQ_sign(request.get(), key.handle(), EVP_sha256()) > 0,
          "to make a certificate signing request");

  unsigned char* der = nullptr;
  const int size = i2d_X509_REQ(request.get(), &der);
  const std::unique_ptr<unsigned char, FreeByOpenssl> owned(der);
  require(size > 0, "to write a certificate signing request");
  return {reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)};
}

Certificate make_placeholder(const PrivateKey& key, const std::vector<Identifier>& identifiers, TimePoint now,
                             Duration lifetime) {
  const X509Handle certificate = draft(key, now, lifetime);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  add_entry(subject, NID_organizationalUnitName, placeholder_mark);
  add_common_name(subject, identifiers);
  add_extension(certificate.get(), NID_ext_key_usage, "serverAuth");
  require(X509_add_ext(certificate.get(), alternative_names(identifiers).get(), -1) == 1, "to write names");
  return self_signed(certificate.get(), key);
}

CertifiedKey make_tls_alpn_certificate(const Identifier& identifier, std::string_view key_authorization,
                                       TimePoint now) {
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  const X509Handle certificate = draft(key, now, std::chrono::hours(24));
  add_entry(X509_get_subject_name(certificate.get()), NID_commonName, "ACME tls-alpn-01");
  require(X509_add_ext(certificate.get(), alternative_names({identifier}).get(), -1) == 1 &&
              X509_add_ext(certificate.get(), acme_identifier(key_authorization).get(), -1) == 1,
          "to write an extension");
  return {key, CertificateChain({self_signed(certificate.get(), key)})};
}

}  // namespace acme_agent
