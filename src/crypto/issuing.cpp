#include <algorithm>

#include <acme_agent/crypto/issuing.hpp>

#include "certificate_draft.hpp"
#include "key_type.hpp"
#include "openssl.hpp"

namespace acme_agent {
namespace {

Validity within(const Validity& wanted, const Validity& issuer) {
  return {std::max(wanted.not_before, issuer.not_before), std::min(wanted.not_after, issuer.not_after)};
}

void add_common_name(X509* certificate, std::string_view name) {
  add_entry(X509_get_subject_name(certificate), NID_commonName, name);
}

/// RFC 5280 4.2.1.1 and 4.2.1.2; `issuer` may be the certificate itself.
void add_key_identifiers(X509* certificate, X509* issuer) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  add_extension(certificate, Extension(X509V3_EXT_conf_nid(nullptr, &context, NID_subject_key_identifier, "hash")));
  if (issuer == certificate) return;
  add_extension(certificate,
                Extension(X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always")));
}

Certificate issue(X509* certificate, const Issuer& issuer) {
  require(X509_set_issuer_name(certificate, X509_get_subject_name(issuer.certificate.handle())) == 1,
          "to write a name");
  add_key_identifiers(certificate, issuer.certificate.handle());
  return sign(certificate, issuer.key);
}

void make_authority(X509* certificate, const char* basic_constraints) {
  add_extension(certificate, NID_basic_constraints, basic_constraints);
  add_extension(certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
}

std::string mask_of(const NameConstraint& network) {
  std::string octets = address_octets(network.value);
  for (std::size_t i = 0; i < octets.size(); ++i) {
    const std::size_t left = network.prefix_bits > 8 * i ? network.prefix_bits - 8 * i : 0;
    octets[i] = static_cast<char>(left >= 8 ? 0xff : 0xff << (8 - left));
  }
  return octets;
}

using Subtrees = STACK_OF(GENERAL_SUBTREE);

void add_subtree(Subtrees*& subtrees, int type, std::string_view value) {
  if (subtrees == nullptr) subtrees = sk_GENERAL_SUBTREE_new_null();
  std::unique_ptr<GENERAL_SUBTREE, Free<GENERAL_SUBTREE_free>> subtree(GENERAL_SUBTREE_new());
  ASN1_STRING* text = ASN1_STRING_type_new(type == GEN_DNS ? V_ASN1_IA5STRING : V_ASN1_OCTET_STRING);
  require(subtrees != nullptr && subtree != nullptr && text != nullptr &&
              ASN1_STRING_set(text, value.data(), static_cast<int>(value.size())) == 1,
          "to write a name");
  GENERAL_NAME_set0_value(subtree->base, type, text);
  require(sk_GENERAL_SUBTREE_push(subtrees, subtree.get()) > 0, "to write a name");
  subtree.release();
}

/// RFC 5280 4.2.1.10: a kind of name that no constraint is about would be free, so all of it is excluded.
Extension name_constraints(const std::vector<NameConstraint>& constraints) {
  const std::unique_ptr<NAME_CONSTRAINTS, Free<NAME_CONSTRAINTS_free>> all(NAME_CONSTRAINTS_new());
  require(all != nullptr, "to write name constraints");
  bool domains = false;
  bool networks = false;
  for (const NameConstraint& constraint : constraints) {
    const bool domain = constraint.type == Identifier::Type::dns;
    (domain ? domains : networks) = true;
    if (domain)
      add_subtree(all->permittedSubtrees, GEN_DNS, constraint.value);
    else
      add_subtree(all->permittedSubtrees, GEN_IPADD, address_octets(constraint.value) + mask_of(constraint));
  }
  if (!domains) add_subtree(all->excludedSubtrees, GEN_DNS, "");
  if (!networks) {
    add_subtree(all->excludedSubtrees, GEN_IPADD, std::string(8, '\0'));
    add_subtree(all->excludedSubtrees, GEN_IPADD, std::string(32, '\0'));
  }
  return Extension(X509V3_EXT_i2d(NID_name_constraints, 1, all.get()));
}

X509Handle draft_for(const Issuer& issuer, const PublicKey& key, const Validity& wanted) {
  return draft_certificate(key.handle(), within(wanted, issuer.certificate.validity()));
}

}  // namespace

PublicKey::PublicKey(const PrivateKey& key) : handle_(key.handle(), Free<EVP_PKEY_free>()) {
  EVP_PKEY_up_ref(key.handle());
}

std::optional<KeyType> PublicKey::key_type() const {
  return key_type_of(handle());
}

Certificate make_root(const PrivateKey& key, std::string_view name, const std::vector<NameConstraint>& constraints,
                      const Validity& validity) {
  const X509Handle root = draft_certificate(key.handle(), validity);
  add_common_name(root.get(), name);
  require(X509_set_issuer_name(root.get(), X509_get_subject_name(root.get())) == 1, "to write a name");
  make_authority(root.get(), "critical,CA:TRUE,pathlen:2");
  if (!constraints.empty()) add_extension(root.get(), name_constraints(constraints));
  add_key_identifiers(root.get(), root.get());
  return sign(root.get(), key);
}

Certificate issue_intermediate(const Issuer& root, const PublicKey& key, std::string_view name, Certifies certifies,
                               const Validity& validity) {
  const X509Handle authority = draft_for(root, key, validity);
  add_common_name(authority.get(), name);
  make_authority(authority.get(), "critical,CA:TRUE,pathlen:0");
  add_extension(authority.get(), NID_ext_key_usage, certifies == Certifies::servers ? "serverAuth" : "clientAuth");
  return issue(authority.get(), root);
}

Certificate cross_sign(const Issuer& root, const Certificate& next) {
  const X509Handle authority =
      draft_certificate(X509_get0_pubkey(next.handle()), within(next.validity(), root.certificate.validity()));
  require(X509_set_subject_name(authority.get(), X509_get_subject_name(next.handle())) == 1, "to write a name");
  make_authority(authority.get(), "critical,CA:TRUE,pathlen:1");
  return issue(authority.get(), root);
}

Certificate issue_server_certificate(const Issuer& issuer, const PublicKey& key,
                                     const std::vector<Identifier>& identifiers, const Validity& validity) {
  const X509Handle certificate = draft_for(issuer, key, validity);
  // No address: without a DNS name beside it, OpenSSL takes it for one and holds the constraints on those against it.
  const auto fitting = std::ranges::find_if(identifiers, [](const Identifier& identifier) {
    return identifier.type == Identifier::Type::dns && identifier.value.size() <= max_common_name;
  });
  const bool named = fitting != identifiers.end();
  if (named) add_common_name(certificate.get(), fitting->value);
  add_extension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE");
  // TLS 1.2 without forward secrecy enciphers to an RSA key (RFC 5246 7.4.2).
  const bool rsa = EVP_PKEY_is_a(key.handle(), "RSA") == 1;
  add_extension(certificate.get(), NID_key_usage,
                rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature");
  add_extension(certificate.get(), NID_ext_key_usage, "serverAuth");
  add_extension(certificate.get(), alternative_names(identifiers, !named));  // RFC 5280 4.2.1.6
  return issue(certificate.get(), issuer);
}

Certificate issue_client_certificate(const Issuer& issuer, const PublicKey& key, std::string_view name,
                                     const Validity& validity) {
  const X509Handle certificate = draft_for(issuer, key, validity);
  add_common_name(certificate.get(), name);
  add_extension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(certificate.get(), NID_ext_key_usage, "clientAuth");
  return issue(certificate.get(), issuer);
}

}  // namespace acme_agent
