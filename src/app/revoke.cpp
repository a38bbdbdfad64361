#include <signal.h>

#include <algorithm>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/acme/session.hpp>
#include <acme_agent/base/local_server.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/store/state.hpp>

#include "commands.hpp"
#include "operators_files.hpp"
#include "revocation_reason.hpp"
#include "wiring.hpp"

namespace acme_agent {
namespace {

const std::stop_token never;

CertificateSettings settings_of(const std::string& name, const Configuration& configuration) {
  for (const CertificateSettings& settings : configuration.certificates)
    if (settings.name == name) return settings;
  return configuration.defaults;
}

/// By the account that has ordered it; where the server does not take that, by the key of the certificate itself
/// (RFC 8555 7.6).
void revoke_at(const Revocation& revocation, const RevocationReason& reason, const std::optional<PrivateKey>& key,
               const CertificateSettings& settings, const Accounts& accounts) {
  if (revocation.server == local_server) return;  // no client of a broker looks for a list of ours
  const SystemClock clock;
  const std::unique_ptr<Transport> transport = connect(settings);
  const Directory directory = fetch_directory(*transport, clock, revocation.server, never);
  const Certificate leaf = CertificateChain::from_pem(revocation.certificate).leaf();
  const std::optional<Account> account = accounts.load(revocation.server);
  try {
    if (!account || account->url.empty()) throw Error(Remedy::ask_operator, "there is no account that could revoke it");
    Session(*transport, clock, directory, account->key, account->url).revoke(leaf, reason.code, never);
  } catch (const Error& error) {
    const auto* refused = dynamic_cast<const ProblemError*>(&error);
    const bool not_ours = refused == nullptr ? error.remedy() == Remedy::ask_operator
                                             : refused->problem().type == "unauthorized" ||
                                                   refused->problem().type == "accountDoesNotExist" ||
                                                   refused->problem().type == "malformed";
    if (!key || !not_ours) throw;
    Session(*transport, clock, directory, *key, "").revoke(leaf, reason.code, never);
  }
}

/// What is to be revoked: the held certificate, unless an earlier one has been begun with and not come to its end.
struct Target {
  Revocation revocation;
  std::optional<PrivateKey> key;
};

/// Begun, and of use yet: no server revokes what has ended.
bool is_open(const Revocation& revocation, TimePoint now) {
  return !revocation.certificate.empty() && !revocation.confirmed &&
         now < CertificateChain::from_pem(revocation.certificate).leaf().validity().not_after;
}

Target target_of(const CertificateState& state, const std::string& name, const RevocationReason& reason) {
  Target target{state.revocation().value_or(Revocation{}), std::nullopt};
  const std::optional<Held> held = state.held();
  const bool begun = is_open(target.revocation, SystemClock().now());
  if (!begun || (held && held->pair.chain.leaf().fingerprint_sha256() == target.revocation.fingerprint)) {
    if (!held || held->server.empty())
      throw Error(Remedy::ask_operator, "there is no certificate of a server held for '" + name + "'");
    const Certificate& leaf = held->pair.chain.leaf();
    target.revocation.certificate = leaf.pem();
    target.revocation.fingerprint = leaf.fingerprint_sha256();
    target.revocation.server = held->server;
    target.revocation.confirmed = false;
    target.key = held->pair.key;
    if (reason.word == "key-compromise") target.revocation.compromised_keys.insert(held->pair.key.thumbprint());
  } else {
    std::cerr << name << ": first the certificate before, whose revocation did not come to its end\n";
  }
  return target;
}

/// By the running agent, else here; where nobody looks after it any more it stays as it is.
int replace(const std::string& name, const CommandLine& command_line, const Environment& environment) {
  CommandLine renewing = command_line;
  renewing.command = "renew";
  try {
    return renew(renewing, environment);
  } catch (const NothingToRenew&) {
    std::cout << name << ": it is not replaced, as neither an agent nor the configuration looks after it\n";
    return exit_ok;
  }
}

}  // namespace

int revoke(const CommandLine& command_line, const Environment& environment) {
  const std::string& name = command_line.arguments.front();
  const RevocationReason reason = reason_called(command_line.reason);
  const Configuration configuration = load_configuration(command_line, environment);
  const StateFolder folder(configuration.state_dir);
  become_owner_of(folder);
  require_known(name, folder);
  folder.create();  // so that nothing is written there that its agent could not read
  check_machine(configuration);
  ::signal(SIGPIPE, SIG_IGN);

  const CertificateState state = folder.certificate(name);
  const std::optional<Revocation> before = state.revocation();
  Target target = target_of(state, name, reason);
  state.save_revocation(target.revocation);  // a key that is compromised stays so, whatever happens from now on
  bool done = false;
  try {
    revoke_at(target.revocation, reason, target.key, settings_of(name, configuration), folder.accounts());
    target.revocation.confirmed = true;
    state.save_revocation(target.revocation);
    if (target.revocation.server == local_server)
      std::cout << name
                << ": clients accept it until its end, as our own authority has no list for them; now it is replaced\n";
    else
      std::cout << name << ": revoked by " << printable(target.revocation.server) << " (" << reason.word << ")\n";
    done = true;
  } catch (const Error& error) {
    const bool compromised = reason.word == "key-compromise";
    std::cerr << name << ": the server has not revoked it: " << error.message()
              << (!compromised ? ""
                  : target.key ? "; its key is replaced all the same: run the same again for the revocation"
                               : "; nothing was done about the certificate that is held now")
              << "\n";
    if (!compromised) state.save_revocation(before.value_or(Revocation{}));
    if (!compromised) return exit_failed;
  }
  const int replaced = replace(name, command_line, environment);
  return done ? replaced : exit_failed;
}

}  // namespace acme_agent
