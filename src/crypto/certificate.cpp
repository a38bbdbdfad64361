#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <utility>

#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/digest.hpp>

#include "certificate_draft.hpp"
#include "general_names.hpp"
#include "key_type.hpp"
#include "openssl.hpp"
#include "placeholder_mark.hpp"

namespace acme_agent {
namespace {

constexpr std::size_t max_chain_certificates = 20;
constexpr std::size_t max_chain_bytes = 512 * 1024;
constexpr std::string_view pem_begin = "-----BEGIN";
constexpr std::string_view pem_begin_certificate = "-----BEGIN CERTIFICATE-----";

std::optional<std::string> utf8(const ASN1_STRING* string) {
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, string);
  const std::unique_ptr<unsigned char, FreeByOpenssl> owned(text);
  if (size < 0) {
    take_openssl_reason();
    return std::nullopt;
  }
  return std::string(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
}

/// The first value of the kind `nid` in a name.
std::optional<std::string> entry(const X509_NAME* name, int nid) {
  const int index = X509_NAME_get_index_by_NID(name, nid, -1);
  if (index < 0) return std::nullopt;
  return utf8(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
}

std::string common_name_or_all(const X509_NAME* name) {
  if (auto common_name = entry(name, NID_commonName)) return *std::move(common_name);
  const Bio bio(BIO_new(BIO_s_mem()));
  require(bio != nullptr && X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_ONELINE) >= 0, "to write a name");
  return std::string(contents(bio.get()));
}

}  // namespace

Certificate Certificate::from_der(std::string_view der) {
  const auto* position = reinterpret_cast<const unsigned char*>(der.data());
  const auto* end = position + der.size();
  std::shared_ptr<X509> handle(d2i_X509(nullptr, &position, static_cast<long>(der.size())), Free<X509_free>());
  if (handle == nullptr) {
    throw Error(Remedy::retry, "the certificate is damaged (" + take_openssl_reason() + ")");
  }
  if (position != end) throw Error(Remedy::retry, "the certificate is damaged (something follows it)");
  if (!time_point(X509_get0_notBefore(handle.get())) || !time_point(X509_get0_notAfter(handle.get()))) {
    take_openssl_reason();
    throw Error(Remedy::retry, "the certificate is damaged (its dates are none)");
  }
  return Certificate(std::move(handle));
}

std::string Certificate::der() const {
  unsigned char* der = nullptr;
  const int size = i2d_X509(handle(), &der);
  const std::unique_ptr<unsigned char, FreeByOpenssl> owned(der);
  require(size > 0, "to write a certificate");
  return {reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)};
}

std::string Certificate::pem() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  require(bio != nullptr && PEM_write_bio_X509(bio.get(), handle()) == 1, "to write a certificate");
  return std::string(contents(bio.get()));
}

Validity Certificate::validity() const {
  return {time_point(X509_get0_notBefore(handle())).value(), time_point(X509_get0_notAfter(handle())).value()};
}

std::vector<Identifier> Certificate::identifiers() const {
  const std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(handle(), NID_subject_alt_name, nullptr, nullptr)));
  take_openssl_reason();
  return identifiers_in(names.get());
}

std::string Certificate::serial() const {
  return to_hex(octets(X509_get0_serialNumber(handle())));
}

std::string Certificate::serial_octets() const {
  unsigned char* der = nullptr;
  const int size = i2d_ASN1_INTEGER(X509_get0_serialNumber(handle()), &der);
  const std::unique_ptr<unsigned char, FreeByOpenssl> owned(der);
  require(size > 0, "to write a serial number");
  const unsigned char* content = der;
  long length = 0;
  int tag = 0;
  int of_class = 0;
  ASN1_get_object(&content, &length, &tag, &of_class, size);
  return {reinterpret_cast<const char*>(content), static_cast<std::size_t>(length)};
}

std::string Certificate::authority_key_id() const {
  const ASN1_OCTET_STRING* id = X509_get0_authority_key_id(handle());
  return id == nullptr ? std::string() : std::string(octets(id));
}

std::string Certificate::fingerprint_sha256() const {
  return to_hex(sha256(der()));
}

std::string Certificate::subject() const {
  return common_name_or_all(X509_get_subject_name(handle()));
}

std::string Certificate::issuer() const {
  return common_name_or_all(X509_get_issuer_name(handle()));
}

std::optional<KeyType> Certificate::key_type() const {
  const EVP_PKEY* key = X509_get0_pubkey(handle());
  if (key == nullptr) take_openssl_reason();
  return key_type_of(key);
}

std::string Certificate::signature_algorithm() const {
  const char* name = OBJ_nid2sn(X509_get_signature_nid(handle()));
  return name != nullptr ? name : "unknown";
}

bool Certificate::self_signed() const {
  return signed_by(*this);
}

bool Certificate::placeholder() const {
  return entry(X509_get_subject_name(handle()), NID_organizationalUnitName) == placeholder_mark && self_signed();
}

bool Certificate::has_public_key_of(const PrivateKey& key) const {
  const EVP_PKEY* own = X509_get0_pubkey(handle());
  const bool same = own != nullptr && EVP_PKEY_eq(own, key.handle()) == 1;
  take_openssl_reason();
  return same;
}

bool Certificate::signed_by(const Certificate& issuer) const {
  if (X509_NAME_cmp(X509_get_issuer_name(handle()), X509_get_subject_name(issuer.handle())) != 0) return false;
  EVP_PKEY* key = X509_get0_pubkey(issuer.handle());
  const bool verified = key != nullptr && X509_verify(handle(), key) == 1;
  take_openssl_reason();
  return verified;
}

CertificateChain::CertificateChain(std::vector<Certificate> certificates) : certificates_(std::move(certificates)) {
  if (certificates_.empty()) throw Error(Remedy::retry, "the certificate chain is empty");
}

CertificateChain CertificateChain::from_pem(std::string_view pem) {
  if (pem.size() > max_chain_bytes) {
    throw Error(Remedy::retry, "the certificate chain is longer than 512 KiB, which no honest one is");
  }
  std::size_t blocks = 0;
  for (auto at = pem.find(pem_begin); at != std::string_view::npos; at = pem.find(pem_begin, at + 1)) {
    if (!pem.substr(at).starts_with(pem_begin_certificate)) {
      throw Error(Remedy::retry, "the certificate chain holds something else than certificates (" +
                                     printable(pem.substr(at, pem.substr(at).find('\n')), 60) +
                                     "), so none of it is used");
    }
    if (++blocks > max_chain_certificates) {
      throw Error(Remedy::retry, "the certificate chain holds more than " + std::to_string(max_chain_certificates) +
                                     " certificates, which no honest one does");
    }
  }
  if (blocks == 0) throw Error(Remedy::retry, "there is no certificate where a PEM chain was expected");

  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  require(bio != nullptr, "to read a certificate chain");
  std::vector<Certificate> certificates;
  while (certificates.size() < blocks) {
    char* name = nullptr;
    char* header = nullptr;
    unsigned char* data = nullptr;
    long size = 0;
    const bool found = PEM_read_bio(bio.get(), &name, &header, &data, &size) == 1;
    const std::unique_ptr<char, FreeByOpenssl> owned_name(name);
    const std::unique_ptr<char, FreeByOpenssl> owned_header(header);
    const std::unique_ptr<unsigned char, FreeByOpenssl> owned_data(data);
    const std::string position = "number " + std::to_string(certificates.size() + 1) + " of the chain";
    if (!found) {
      throw Error(Remedy::retry, position + ": the PEM block is damaged (" + take_openssl_reason() + ")");
    }
    try {
      certificates.push_back(
          Certificate::from_der({reinterpret_cast<const char*>(data), static_cast<std::size_t>(size)}));
    } catch (const Error& error) {
      throw error.while_doing(position);
    }
  }
  return CertificateChain(std::move(certificates));
}

std::string CertificateChain::leaf_pem() const {
  return leaf().pem();
}

std::string CertificateChain::rest_pem() const {
  std::string pem;
  for (std::size_t i = 1; i < certificates_.size(); ++i) pem += certificates_[i].pem();
  return pem;
}

std::string CertificateChain::pem() const {
  return leaf_pem() + rest_pem();
}

}  // namespace acme_agent
