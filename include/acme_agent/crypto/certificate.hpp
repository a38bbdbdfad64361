#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/identifier.hpp>
#include <acme_agent/crypto/private_key.hpp>

struct x509_st;

namespace acme_agent {

/// From notBefore to notAfter, both included (RFC 5280 4.1.2.5).
struct Validity {
  TimePoint not_before;
  TimePoint not_after;

  Duration lifetime() const { return not_after - not_before; }
  bool contains(TimePoint time) const { return not_before <= time && time <= not_after; }
  bool operator==(const Validity&) const = default;
};

/// One X.509 certificate; immutable, cheap to copy, safe to share between threads.
class Certificate {
 public:
  /// Reads DER. Throws Error (retry) if `der` is not exactly one certificate.
  static Certificate from_der(std::string_view der);

  std::string pem() const;
  std::string der() const;

  Validity validity() const;
  /// Sorted subject alternative names of the kinds dNSName and iPAddress; the common name is not looked at.
  std::vector<Identifier> identifiers() const;
  /// Lower-case hexadecimal, two digits for each octet.
  std::string serial() const;
  /// The content octets of the serial number's DER, with the zero in front of a high bit (X.690 8.3).
  std::string serial_octets() const;
  /// keyIdentifier of the extension authorityKeyIdentifier (RFC 5280 4.2.1.1): octets; empty if there is none.
  std::string authority_key_id() const;
  std::string fingerprint_sha256() const;
  /// Common name of the subject and of the issuer; the whole name in one line where there is none.
  std::string subject() const;
  std::string issuer() const;
  /// Nothing if the key is of a kind that KeyType does not know.
  std::optional<KeyType> key_type() const;
  /// How it was signed, as OpenSSL calls it: "RSA-SHA256", "ecdsa-with-SHA384", …
  std::string signature_algorithm() const;
  bool self_signed() const;
  /// Made by make_placeholder(), by any copy of this program.
  bool placeholder() const;
  bool has_public_key_of(const PrivateKey& key) const;
  /// `issuer`'s name and key fit this certificate's issuer name and signature.
  bool signed_by(const Certificate& issuer) const;
  bool operator==(const Certificate& other) const { return der() == other.der(); }

  /// For the other files of this room, and tests.
  x509_st* handle() const noexcept { return handle_.get(); }

 private:
  explicit Certificate(std::shared_ptr<x509_st> handle) : handle_(std::move(handle)) {}

  std::shared_ptr<x509_st> handle_;
};

/// A leaf and the certificates that lead towards a root, in order; never empty.
class CertificateChain {
 public:
  explicit CertificateChain(std::vector<Certificate> certificates);

  /// Reads application/pem-certificate-chain (RFC 8555 9.1). Throws Error (retry) if there is none, if a block is
  /// damaged, if there are more than 20, or if any block is something else than CERTIFICATE (RFC 8555 11.4).
  static CertificateChain from_pem(std::string_view pem);

  const Certificate& leaf() const { return certificates_.front(); }
  const std::vector<Certificate>& certificates() const { return certificates_; }
  /// The issuer of the last certificate: the root that a client needs.
  std::string top() const { return certificates_.back().issuer(); }

  std::string leaf_pem() const;
  /// All but the leaf; empty if there is nothing else.
  std::string rest_pem() const;
  std::string pem() const;
  bool operator==(const CertificateChain&) const = default;

 private:
  std::vector<Certificate> certificates_;
};

/// A private key and the chain whose leaf carries its public key.
struct CertifiedKey {
  PrivateKey key;
  CertificateChain chain;
};

/// Checks what a server sent before it may replace anything: leaf with the key's public key, exactly the names asked
/// for (in any order), `now` inside the validity, each certificate signed by the next one.
/// A notBefore up to `clock_skew` ahead of `now` is accepted. Throws Error (retry), one sentence for the first fault.
void check_issued(const CertifiedKey& pair, const std::vector<Identifier>& identifiers, TimePoint now,
                  Duration clock_skew = std::chrono::hours(1));

/// A certificate signing request (RFC 2986) in DER: all names as subject alternative names, and the first DNS name
/// of at most 64 characters as common name.
std::string make_csr(const PrivateKey& key, const std::vector<Identifier>& identifiers);

/// A certificate signing request that somebody else made.
struct SigningRequest {
  std::string der;
  std::vector<Identifier> identifiers;  ///< Sorted subject alternative names; the common name is not looked at.
};

/// Reads one in PEM or DER. Throws Error (ask_operator) if it is none, or not for `key`.
SigningRequest read_csr(std::string_view text, const PrivateKey& key);

/// A self-signed certificate so that a broker can start before the first issuance: from an hour before `now` to
/// `now` + `lifetime`, recognisable by Certificate::placeholder(), accepted by no client that checks.
Certificate make_placeholder(const PrivateKey& key, const std::vector<Identifier>& identifiers, TimePoint now,
                             Duration lifetime);

}  // namespace acme_agent
