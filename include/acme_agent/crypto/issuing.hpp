#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <acme_agent/base/name_constraint.hpp>
#include <acme_agent/crypto/certificate.hpp>

struct evp_pkey_st;

namespace acme_agent {

/// The public half of a key, to be certified; immutable, cheap to copy, safe to share between threads.
class PublicKey {
 public:
  PublicKey(const PrivateKey& key);

  /// Of a certificate signing request in PEM or DER, whose signature proves that who asks has the private key. What
  /// else it asks for is not looked at. Throws Error (ask_operator) if it is none, or of a key that KeyType does not
  /// know.
  static PublicKey from_csr(std::string_view text);

  std::optional<KeyType> key_type() const;

  /// For the other files of this room.
  evp_pkey_st* handle() const noexcept { return handle_.get(); }

 private:
  explicit PublicKey(std::shared_ptr<evp_pkey_st> handle) : handle_(std::move(handle)) {}

  std::shared_ptr<evp_pkey_st> handle_;
};

/// Who signs. Nothing that it issues begins before it does or ends after it.
struct Issuer {
  PrivateKey key;
  Certificate certificate;
};

/// Whom an intermediate authority certifies.
enum class Certifies { servers, clients };

/// All of the following are as RFC 5280 wants them, signed with SHA-256, with random serial numbers of 128 bits. Names
/// of authorities and devices are their common names, of at most 64 characters.

/// A self-signed root. Below it is room for a cross-signed root with one intermediate authority.
Certificate make_root(const PrivateKey& key, std::string_view name, const std::vector<NameConstraint>& constraints,
                      const Validity& validity);

/// An authority that certifies these, and no further authorities.
Certificate issue_intermediate(const Issuer& root, const PublicKey& key, std::string_view name, Certifies certifies,
                               const Validity& validity);

/// `next` with the signature of `root`, to the end of the earlier of both: who knows `root` alone accepts what `next`
/// issues. Without the constraints of `next`, as many devices refuse to read such, and those of `root` hold.
Certificate cross_sign(const Issuer& root, const Certificate& next);

/// For a TLS server; the common name is the first DNS name that fits.
Certificate issue_server_certificate(const Issuer& issuer, const PublicKey& key,
                                     const std::vector<Identifier>& identifiers, const Validity& validity);

/// For a TLS client, as small as can be: devices have little room.
Certificate issue_client_certificate(const Issuer& issuer, const PublicKey& key, std::string_view name,
                                     const Validity& validity);

}  // namespace acme_agent
