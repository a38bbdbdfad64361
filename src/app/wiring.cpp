#include "wiring.hpp"

#include <unistd.h>

#include <set>
#include <utility>

#include <acme_agent/broker/reloader.hpp>
#include <acme_agent/challenge/http01_solver.hpp>
#include <acme_agent/crypto/root_bundle.hpp>
#include <acme_agent/net/curl_transport.hpp>

namespace acme_agent {
namespace {

constexpr Duration hook_timeout = std::chrono::seconds(60);

FileLock lock_or_throw(const std::filesystem::path& file, const std::filesystem::path& folder) {
  auto lock = FileLock::try_acquire(file);
  if (const auto* holder = std::get_if<FileLock::Holder>(&lock)) throw AlreadyRunning(folder, *holder);
  return std::get<FileLock>(std::move(lock));
}

FileLock lock_state(const StateFolder& state) {
  state.create();
  return lock_or_throw(state.lock_file(), state.path());
}

std::string pid_text(FileLock::Holder holder) {
  return holder.pid > 0 ? " (pid " + std::to_string(holder.pid) + ")" : "";
}

}  // namespace

AlreadyRunning::AlreadyRunning(const std::filesystem::path& folder, FileLock::Holder holder)
    : Error(Remedy::retry, "another acme-agent" + pid_text(holder) + " works on " + folder.string() +
                               ": stop it first, or leave the work to it ('acme-agent renew NAME' asks it)") {}

void check_machine(const Configuration& configuration) {
  std::set<std::string> complaints;
  const auto try_out = [&complaints](const std::string& what, const auto& act) {
    try {
      act();
    } catch (const Error& error) {
      complaints.insert(what + ": " + error.message());
    }
  };
  for (const CertificateSettings& settings : configuration.certificates) {
    if (!settings.owner.empty())
      try_out("owner of " + settings.name, [&] { parse_owner(settings.owner, settings.mode); });
    if (settings.ca_bundle) try_out("ca-bundle", [&] { RootBundle{*settings.ca_bundle}; });
  }
  std::string all;
  for (const std::string& complaint : complaints) all += (all.empty() ? "" : "\n") + complaint;
  if (!all.empty()) throw Error(Remedy::ask_operator, all);
}

std::filesystem::path cert_dir_of(const CertificateSettings& settings, const StateFolder& state) {
  return settings.cert_dir.value_or(state.live(settings.name));
}

Wiring::Wiring(const Configuration& configuration)
    : log_(configuration.log_level, configuration.log_format, clock_),
      state_(configuration.state_dir),
      lock_(lock_state(state_)),
      renewer_(
          state_.accounts(), [this](const std::string& name) { return state_.certificate(name); }, clock_, log_) {}

void Wiring::warn_of_curl() {
  if (const std::optional<std::string> warning = curl_warning()) log_.warning(*warning);
}

std::vector<Managed> Wiring::manage(const Configuration& configuration) {
  std::vector<Managed> managed;
  for (const CertificateSettings& settings : configuration.certificates) {
    state_.certificate(settings.name).refuse_newer();  // before anything is done
    state_.accounts().refuse_newer(settings.server.directory_url);
    managed.push_back(manage_one(settings));
  }
  return managed;
}

Managed Wiring::manage_one(const CertificateSettings& settings) {
  Managed managed;
  managed.name = settings.name;
  managed.identifiers = settings.identifiers;
  managed.server = settings.server.directory_url;
  managed.server_name = settings.server.name;
  managed.email = settings.email;
  managed.key_type = settings.key_type;
  managed.reuse_key = settings.reuse_key;
  managed.placeholder = settings.placeholder;
  managed.solver = solver_for(settings.http_listen);

  const CurlTransport::Options options{std::string("acme-agent/") + ACME_AGENT_VERSION, settings.ca_bundle};
  managed.connect = [options] { return std::make_unique<CurlTransport>(options); };

  DeploymentTarget& target = managed.target;
  target.name = settings.name;
  target.identifiers = settings.identifiers;
  target.folder = cert_dir_of(settings, state_);
  target.owner_given = !settings.owner.empty();
  target.ownership = target.owner_given ? parse_owner(settings.owner, settings.mode)
                                        : Ownership{std::nullopt, std::nullopt, settings.mode};
  for (const ReloadRule& rule : settings.reload)
    if (rule.kind != ReloadRule::Kind::none) target.reloaders.push_back(reloader_for(rule));
  target.probes = settings.probes;
  target.probe_is_default = settings.probe_is_default;
  target.probe_timeout = settings.probe_timeout;

  try {
    make_folder(target.folder, 0711);
    if (settings.cert_dir) lock_folder(target.folder);
  } catch (const AlreadyRunning&) {
    throw;
  } catch (const Error& error) {
    throw error.while_doing("the cert-dir of " + settings.name + " cannot be used");
  }
  return managed;
}

std::shared_ptr<Reloader> Wiring::reloader_for(const ReloadRule& rule) {
  switch (rule.kind) {
    case ReloadRule::Kind::pidfile:
      return reload_pidfile(rule.argument, processes_);
    case ReloadRule::Kind::command:
      return reload_command(rule.argv, hook_timeout, processes_);
    default:
      return reload_process(rule.argument, processes_);
  }
}

std::shared_ptr<Solver> Wiring::solver_for(const Endpoint& endpoint) {
  std::shared_ptr<Http01Listener>& listener = listeners_[endpoint.text()];
  if (!listener) listener = std::make_shared<Http01Listener>(endpoint, describe_port_holder, log_);
  return std::make_shared<Http01Solver>(*listener);
}

void Wiring::lock_folder(const std::filesystem::path& folder) {
  if (folder_locks_.contains(folder)) return;
  folder_locks_.emplace(folder, lock_or_throw(folder / ".acme-agent.lock", folder));
}

}  // namespace acme_agent
