#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/identifier.hpp>
#include <acme_agent/base/key_type.hpp>
#include <acme_agent/base/name_constraint.hpp>
#include <acme_agent/base/secret.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/issuing.hpp>

namespace acme_agent {

/// What is decided when an authority is made, and how its keys are kept.
struct AuthorityTerms {
  KeyType key_type = KeyType::rsa2048;
  std::vector<NameConstraint> name_constraints{};       ///< None: it may certify every name.
  std::function<std::optional<Secret>()> passphrase{};  ///< Asked when a key is read or written; empty: none.
};

/// What was issued to a device.
struct IssuedDevice {
  std::string serial;  ///< As Certificate::serial() has it.
  std::string name;    ///< The common name: to a broker, the user.
  std::string kind;    ///< A word for people: "tasmota", …
  std::string issuer;  ///< Which of our authorities for devices: eight digits.
  Validity validity;
  std::optional<TimePoint> revoked{};
  std::optional<int> reason{};  ///< CRLReason (RFC 5280 5.3.1).

  bool operator==(const IssuedDevice&) const = default;
};

/// By which a deployment shows that a broker lets in who it should, and nobody else.
struct ProbeClients {
  CertifiedKey good;
  CertifiedKey revoked;
};

/// A certificate authority of our own, in one folder: a root, below it one authority for servers and one for devices.
/// Each is replaced when half of its life is over, so that whatever is issued ends before its issuer; a new root comes
/// with the signature of the one before, which goes with every chain, so that a client which knows either accepts it.
/// It needs no network. Every call reads what lies on the disk: several processes may use it, one at a time.
class Authority {
 public:
  /// The one in `folder`; nothing where none was made. Throws Error (ask_operator) if what lies there is damaged.
  static std::optional<Authority> open(std::filesystem::path folder, const AuthorityTerms& terms);

  /// Makes one where there is none, whole or not at all. One that is there keeps its kind of key and its constraints.
  static Authority open_or_make(std::filesystem::path folder, const AuthorityTerms& terms, TimePoint now);

  KeyType key_type() const { return key_type_; }
  const std::vector<NameConstraint>& name_constraints() const { return name_constraints_; }

  /// Encrypts with the passphrase the keys that sign and lie there open. Nothing without one. Throws Error
  /// (ask_operator) before anything is done if one is encrypted with another.
  void encrypt_keys() const;
  bool keys_encrypted() const;

  /// Makes the successors that are due. Cheap where none is.
  void keep(TimePoint now) const;

  /// For 90 days. Throws Error (ask_operator) for a name that the constraints do not permit.
  CertificateChain issue_server(const PublicKey& key, const std::vector<Identifier>& names, TimePoint now) const;

  /// What follows the leaf in chains that are issued now: where it follows another leaf no more, that one is to be
  /// replaced.
  std::vector<Certificate> server_issuers(TimePoint now) const;

  /// The certificate is on record before it is returned; the chain has its issuer, which brokers know. Throws Error
  /// (ask_operator) for a name that is no name of a device: [A-Za-z0-9._-]{1,64}, beginning with a letter or a digit,
  /// and no host that the constraints do not permit.
  CertificateChain issue_device(const PublicKey& key, const std::string& name, const std::string& kind,
                                Duration lifetime, TimePoint now) const;

  /// In the order of their issuance.
  std::vector<IssuedDevice> list() const;

  /// Revokes one serial number, or what has that name and is in date: returns it, also what was revoked before. Throws
  /// Error (ask_operator) if there is none, and changes nothing where no list can be signed.
  std::vector<IssuedDevice> revoke(const std::string& name_or_serial, std::optional<int> reason, TimePoint now) const;

  /// What clients of our servers trust, the newest first: each alone is enough.
  std::vector<Certificate> roots(TimePoint now) const;

  /// What a broker trusts (its cafile): the roots, and the authorities for devices.
  std::string devices_ca_pem(TimePoint now) const;

  /// What a broker refuses (its crlfile): one list for each of these, signed again when half its life is over.
  std::string devices_crl_pem(TimePoint now) const;

  /// For the list last signed: there is one after devices_crl_pem().
  ProbeClients probe_clients(TimePoint now) const;

 private:
  Authority(std::filesystem::path folder, const AuthorityTerms& terms);

  std::filesystem::path folder_;
  KeyType key_type_;
  std::vector<NameConstraint> name_constraints_;
  std::function<std::optional<Secret>()> passphrase_;
};

/// Throws Error (ask_operator), see Authority::issue_device().
void check_device_name(std::string_view name);

inline constexpr Duration longest_device_lifetime = std::chrono::hours(24) * 3650;

}  // namespace acme_agent
