#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/acme/external_account.hpp>
#include <acme_agent/base/identifier.hpp>
#include <acme_agent/base/key_type.hpp>
#include <acme_agent/broker/deployer.hpp>
#include <acme_agent/challenge/solver.hpp>
#include <acme_agent/devices/device_terms.hpp>
#include <acme_agent/net/transport.hpp>

namespace acme_agent {

/// An authority on this machine, which issues at once and without a network. Both throw Error.
struct OwnAuthority {
  /// Where there is no authority, one is made, unless there was one before (not `may_make`): clients trust that one.
  std::function<CertificateChain(const PrivateKey& key, const std::vector<Identifier>& names, TimePoint now,
                                 bool may_make)>
      issue;
  /// Whether it would issue with these certificates above the leaf at `now`, or is gone.
  std::function<bool(const CertificateChain& chain, TimePoint now)> issues_with;
};

/// An ACME server that certificates may come from; immutable, shared by all that name it.
struct AcmeServer {
  std::string url;                                      ///< Of its directory.
  std::string name;                                     ///< For people.
  std::function<std::unique_ptr<Transport>()> connect;  ///< A new client for it.
  std::function<ExternalAccount()> external_account{};  ///< Reads the binding for a new account; empty: none is given.
  std::optional<OwnAuthority> own{};                    ///< Then it is no server, and nobody is asked.
  std::string asked_with{};  ///< Roots and account binding where they are not the usual: others may mend a failure.
};

/// One certificate to look after, with everything that takes; immutable.
struct Managed {
  std::string name;
  std::vector<Identifier> identifiers;
  std::vector<std::shared_ptr<const AcmeServer>> servers;  ///< In the order of preference; at least one.
  std::string email;                                       ///< Empty: none.
  KeyType key_type = KeyType::rsa2048;
  bool reuse_key = true;
  std::string profile;          ///< Empty: the server's default.
  std::string preferred_chain;  ///< Common name at the top; empty: the server's default.
  std::string key_file;         ///< The operator's own key, of `key_type`; empty: keys are ours.
  std::string key_thumbprint;   ///< Of the key in that file; empty as above.
  std::string csr;              ///< The operator's own signing request for that key, in DER; empty: made as needed.
  std::shared_ptr<const DeviceTerms> devices;  ///< Null: anything will do.
  bool placeholder = true;
  DeploymentTarget target;
  Solvers solvers;  ///< At least one, unless our own authority is the only server.

  /// The server with this directory URL; null if it is none of ours.
  const AcmeServer* server_at(const std::string& url) const;

  /// Whether a certificate of this server is but a makeshift: our own authority's, where another server is preferred.
  bool stands_in(const std::string& url) const;

  /// Whether this chain is what was asked for: its top, and that the devices take it at `now`.
  bool wants(const CertificateChain& chain, TimePoint now) const;

  /// The same, with the very same servers, reloaders and solvers.
  auto operator<=>(const Managed&) const = default;
};

/// The operator's own key. Throws Error (ask_operator) if the file is gone or holds none.
PrivateKey read_key_file(const Managed& managed);

/// Kind of key and names, in one line that is the same for the same ones.
std::string what_of(KeyType key_type, std::vector<Identifier> identifiers);

}  // namespace acme_agent
