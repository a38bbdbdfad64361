#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <set>
#include <string>
#include <vector>

#include <acme_agent/agent/issue.hpp>
#include <acme_agent/agent/look_ahead.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/signals.hpp>

#include "commands.hpp"
#include "operators_files.hpp"
#include "wiring.hpp"

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

/// Where the state of a trial lies while it lasts.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::error_code failed;
    const fs::path temporary = fs::temp_directory_path(failed);
    if (failed) throw_errno("cannot use the folder for temporary files,", "$TMPDIR or /tmp", failed.value());
    const fs::path pattern = temporary / "acme-agent-trial-XXXXXX";
    std::string made = pattern.native();
    if (::mkdtemp(made.data()) == nullptr) throw_errno("cannot make a folder for the trial", pattern, errno);
    path_ = made;
  }
  ~ScratchFolder() {
    std::error_code left;
    fs::remove_all(path_, left);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

Server server_named(std::string_view name) {
  for (const Server& server : named_servers())
    if (server.name == name) return server;
  throw Error(Remedy::ask_operator, "there is no server named '" + std::string(name) + "'");
}

/// The one whose limits a trial may spend.
Server server_for_trial(const CertificateSettings& settings) {
  const Server& chosen = *settings.first_remote_server();
  if (chosen.directory_url == server_named("letsencrypt").directory_url) return server_named("letsencrypt-staging");
  if (chosen.name == "letsencrypt-staging" || chosen.name == chosen.directory_url) return chosen;
  throw Error(Remedy::ask_operator, settings.name + ": no staging server of " + chosen.name +
                                        " is known: give --server letsencrypt-staging for the trial, or --server " +
                                        chosen.directory_url + " to ask that server itself");
}

/// The same certificate, asked for at that server and kept nowhere.
CertificateSettings trial_of(CertificateSettings settings) {
  const Server server = server_for_trial(settings);
  if (server != *settings.first_remote_server()) {  // whose binding this one would not know
    settings.eab_kid.clear();
    settings.eab_hmac_key_file.reset();
  }
  settings.servers = {server};
  std::erase(settings.challenges, "dns-persist-01");
  if (settings.challenges.empty())
    throw Error(Remedy::ask_operator, settings.name +
                                          ": dns-persist-01 cannot be tried, as its record names an account that a "
                                          "trial does not have: leave --dry-run out, or add another --challenge");
  settings.cert_dir.reset();
  settings.deploy.clear();  // a running agent has their locks
  settings.owner.clear();
  settings.reload.clear();
  settings.probes.clear();
  settings.placeholder = false;
  return settings;
}

void tell_servers(const Configuration& asked, const Configuration& trial) {
  std::set<std::string> sentences;
  for (std::size_t i = 0; i < trial.certificates.size(); ++i) {
    const Server& before = *asked.certificates[i].first_remote_server();
    const Server& server = trial.certificates[i].servers.front();
    if (server != before)
      sentences.insert("a trial: " + server.name + " is asked instead of " + before.name);
    else if (server.name == server.directory_url)
      sentences.insert("a trial: " + server.name + " itself is asked, as no staging server of it is known; what it " +
                       "issues counts towards its limits");
    else
      sentences.insert("a trial: " + server.name + " is asked");
  }
  for (const std::string& sentence : sentences) std::cout << sentence << "\n";
  std::cout << std::flush;
}

/// An account that ends with the trial, and its authorizations with it (RFC 8555 7.3.6).
class TrialAccount {
 public:
  TrialAccount(const Managed& managed, Session& session, const std::stop_token& stop) : session_(session), stop_(stop) {
    const AcmeServer& server = *managed.servers.front();
    session.new_account(managed.email,
                        server.external_account ? std::optional(server.external_account()) : std::nullopt, stop);
  }
  ~TrialAccount() {
    try {
      session_.deactivate(stop_);
    } catch (...) {  // it is good manners, and nothing more
    }
  }
  TrialAccount(const TrialAccount&) = delete;
  TrialAccount& operator=(const TrialAccount&) = delete;

 private:
  Session& session_;
  const std::stop_token& stop_;
};

/// The whole way, and what it has proven.
std::string try_out(const Managed& managed, Wiring& wiring, const std::stop_token& stop) {
  const AcmeServer& server = *managed.servers.front();
  const std::unique_ptr<Transport> transport = server.connect();
  const Directory directory = fetch_directory(*transport, wiring.clock(), server.url, stop);
  Session session(*transport, wiring.clock(), directory, PrivateKey::generate(KeyType::ec256), "");
  const TrialAccount account(managed, session, stop);
  IssueRequest request;
  request.identifiers = managed.identifiers;
  request.profile = managed.profile;
  request.wanted = [&](const CertificateChain& chain) { return managed.wants(chain, wiring.clock().now()); };
  request.csr = managed.csr;
  request.key = [&](const std::string&, bool refused) {
    if (refused && !managed.key_file.empty())
      throw Error(Remedy::ask_operator, server.name + " does not take the key in " + printable(managed.key_file));
    return managed.key_file.empty() ? PrivateKey::generate(managed.key_type) : read_key_file(managed);
  };
  request.validation_failed = [&](const ValidationError& failed, bool another_way) {
    if (another_way) wiring.log().warning(failed.message() + "; trying the next challenge", managed.name);
    return another_way;
  };
  request.progress = [&](std::string_view step) { wiring.log().progress(step, managed.name); };
  const LookAhead look(look_at_names, managed.identifiers, managed.solvers.front()->type(), directory.caa_identities,
                       [&](const std::string& seen) { wiring.log().warning(seen, managed.name); });
  try {
    const CertifiedKey pair = issue(session, managed.solvers, wiring.clock(), request, stop);
    check_issued(pair, managed.identifiers, wiring.clock().now());
    std::vector<std::string> names;
    for (const Identifier& identifier : managed.identifiers) names.push_back(identifier.value);
    return server.name + " has validated " + printable(join(names), 400) +
           " and issued a certificate for a key of type " + std::string(to_string(pair.key.type())) +
           ", which was checked; nothing was kept or deployed";
  } catch (const ValidationError& failed) {
    const std::vector<std::string> seen =
        look_at_names(failed.names(), managed.solvers.back()->type(), directory.caa_identities, stop);
    throw Error(failed.remedy(), failed.message() + (seen.empty() ? "" : "; seen from here, " + join(seen)));
  }
}

/// Those that a server issues: our own authority has nothing that could be tried.
Configuration without_own(Configuration configuration) {
  std::erase_if(configuration.certificates, [](const CertificateSettings& settings) {
    if (settings.first_remote_server() != nullptr) return false;
    std::cout << settings.name << ": issued by our own authority on this machine, so that there is nothing to try\n";
    return true;
  });
  return configuration;
}

}  // namespace

int dry_run(const Configuration& all) {
  check_machine(all);
  const Configuration asked = without_own(all);
  const ScratchFolder scratch;
  Configuration trial = asked;
  trial.state_dir = scratch.path();
  std::transform(asked.certificates.begin(), asked.certificates.end(), trial.certificates.begin(), trial_of);
  block_signals();
  Wiring wiring(trial);
  wiring.take_folders(trial);
  const std::vector<Managed> certificates = wiring.manage(trial);
  std::stop_source stop;
  const SignalThread signals([&](int number) {
    if (number == SIGTERM || number == SIGINT) stop.request_stop();
  });
  tell_servers(asked, trial);
  int exit_code = exit_ok;
  for (const Managed& managed : certificates) {
    try {
      const std::string proven = try_out(managed, wiring, stop.get_token());
      std::cout << managed.name << ": " << proven << std::endl;
    } catch (const Error& error) {
      std::cerr << "acme-agent: " << managed.name << ": " << error.message() << "\n";
      exit_code = exit_failed;
    } catch (const Stopped&) {
      std::cerr << "acme-agent: the trial was stopped\n";
      return exit_failed;
    }
  }
  return exit_code;
}

}  // namespace acme_agent
