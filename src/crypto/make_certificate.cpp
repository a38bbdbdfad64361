#include <algorithm>

#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/digest.hpp>
#include <acme_agent/crypto/tls_alpn.hpp>

#include "certificate_draft.hpp"
#include "openssl.hpp"
#include "placeholder_mark.hpp"

namespace acme_agent {
namespace {

void add_common_name(X509_NAME* name, const std::vector<Identifier>& identifiers) {
  const auto fitting = std::ranges::find_if(identifiers, [](const Identifier& identifier) {
    return identifier.type == Identifier::Type::dns && identifier.value.size() <= max_common_name;
  });
  if (fitting != identifiers.end()) add_entry(name, NID_commonName, fitting->value);
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

/// From an hour before `now` to `now` + `lifetime`, of no authority.
X509Handle draft(const PrivateKey& key, TimePoint now, Duration lifetime) {
  X509Handle certificate = draft_certificate(key.handle(), {now - std::chrono::hours(1), now + lifetime});
  add_extension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE");
  return certificate;
}

/// The draft, issued by its own subject.
Certificate self_signed(X509* certificate, const PrivateKey& key) {
  require(X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1, "to write a name");
  return sign(certificate, key);
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
  add_extension(certificate.get(), alternative_names(identifiers));
  return self_signed(certificate.get(), key);
}

CertifiedKey make_tls_alpn_certificate(const Identifier& identifier, std::string_view key_authorization,
                                       TimePoint now) {
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  const X509Handle certificate = draft(key, now, std::chrono::hours(24));
  add_entry(X509_get_subject_name(certificate.get()), NID_commonName, "ACME tls-alpn-01");
  add_extension(certificate.get(), alternative_names({identifier}));
  add_extension(certificate.get(), acme_identifier(key_authorization));
  return {key, CertificateChain({self_signed(certificate.get(), key)})};
}

}  // namespace acme_agent
