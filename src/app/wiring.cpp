#include "wiring.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <iostream>
#include <set>
#include <utility>

#include <acme_agent/base/local_server.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/reloader.hpp>
#include <acme_agent/crypto/root_bundle.hpp>
#include <acme_agent/dns/advice.hpp>
#include <acme_agent/net/connection_pool.hpp>
#include <acme_agent/net/curl_transport.hpp>
#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/identity.hpp>
#include <acme_agent/sys/tcp.hpp>

#include "authority_terms.hpp"
#include "commands.hpp"
#include "needs.hpp"
#include "operators_files.hpp"
#include "own_authority.hpp"

namespace acme_agent {
namespace {

constexpr Duration hook_timeout = std::chrono::seconds(60);
constexpr Duration systemd_timeout = std::chrono::seconds(30);
constexpr Duration reload_request_timeout = std::chrono::seconds(10);

std::string user_agent() {
  return std::string("acme-agent/") + ACME_AGENT_VERSION;
}

template <class... Advice>
FileLock lock_or_throw(const std::filesystem::path& file, const std::filesystem::path& folder,
                       const Advice&... advice) {
  auto lock = FileLock::try_acquire(file);
  if (const auto* holder = std::get_if<FileLock::Holder>(&lock)) throw AlreadyRunning(folder, *holder, advice...);
  return std::get<FileLock>(std::move(lock));
}

TimePoint built() {
  return std::chrono::sys_seconds(std::chrono::seconds(ACME_AGENT_BUILT));
}

FileLock lock_state(const StateFolder& state) {
  state.create();
  return lock_or_throw(state.lock_file(), state.path());
}

/// Each folder of a broker that is locked takes a descriptor. Programs that we start inherit the limit, and some slow
/// down with it: so not without need.
void raise_file_limit(const Configuration& configuration) {
  constexpr rlim_t for_the_rest = 256;
  rlim_t needed = for_the_rest;
  for (const CertificateSettings& settings : configuration.certificates)
    if (settings.cert_dir) ++needed;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return;
  limit.rlim_cur = std::min(limit.rlim_max, needed);
  ::setrlimit(RLIMIT_NOFILE, &limit);  // where that is not enough, the lock that fails says so
}

FurtherFolder further_folder(const DeployRule& rule, const Ownership& usual) {
  FurtherFolder folder{rule.folder.native(), usual, FurtherFolder::Format::pem, rule.password_file.native()};
  if (!rule.owner.empty()) folder.ownership = parse_owner(rule.owner, rule.mode);
  folder.ownership.mode = rule.mode;
  if (rule.format == "combined") folder.format = FurtherFolder::Format::combined;
  if (rule.format == "pkcs12") folder.format = FurtherFolder::Format::pkcs12;
  return folder;
}

std::string pid_text(FileLock::Holder holder) {
  return holder.pid > 0 ? " (pid " + std::to_string(holder.pid) + ")" : "";
}

}  // namespace

AlreadyRunning::AlreadyRunning(const std::filesystem::path& folder, FileLock::Holder holder, const std::string& advice)
    : Error(Remedy::retry, "another acme-agent" + pid_text(holder) + " works on " + folder.string() + ": " + advice) {}

FileLock lock_state(const StateFolder& state, const std::string& advice) {
  state.create();
  return lock_or_throw(state.lock_file(), state.path(), advice);
}

void become_owner_of(const StateFolder& state) {
  if (const std::optional<std::string> user = become_owner_of(state.path()))
    std::cerr << "acme-agent: working as " << printable(*user) << ", to whom " << printable(state.path().native())
              << " belongs\n";
}

std::unique_ptr<Transport> connect(const CertificateSettings& settings) {
  CurlTransport::Options options{.user_agent = user_agent(), .ca_bundle = settings.ca_bundle};
  if (settings.ca_bundle)
    options.trust_advice =
        printable(settings.ca_bundle->native()) + " (--ca-bundle) does not hold its root: add it there";
  return std::make_unique<CurlTransport>(std::move(options));
}

std::unique_ptr<Reloader> make_reloader(const ReloadRule& rule, const Processes& processes) {
  const HttpClient client{user_agent(), reload_request_timeout};
  switch (rule.kind) {
    case ReloadRule::Kind::pidfile:
      return reload_pidfile(rule.argument, processes);
    case ReloadRule::Kind::systemd:
      return reload_systemd(rule.argument, systemd_timeout, processes);
    case ReloadRule::Kind::command:
      return reload_command(rule.argv, hook_timeout, processes);
    case ReloadRule::Kind::container:
      return reload_container(rule.argument, rule.socket, client);
    case ReloadRule::Kind::url:
      return reload_url(rule.argument, client);
    default:
      return reload_process(rule.argument, processes);
  }
}

std::vector<std::string> look_at_names(const std::vector<Identifier>& names, const std::string& challenge,
                                       const std::vector<std::string>& issuers, const std::stop_token& stop) {
  constexpr Duration patience = std::chrono::seconds(5);
  try {
    return explain_names(Resolver::of_system(), names, challenge, issuers, own_addresses(), patience, stop);
  } catch (const std::exception& error) {  // that resolv.conf cannot be read, as a rule
    return {error.what()};
  }
}

std::filesystem::path cert_dir_of(const CertificateSettings& settings, const StateFolder& state) {
  return settings.cert_dir.value_or(state.live(settings.name));
}

Wiring::Wiring(const Configuration& configuration)
    : log_(configuration.log_level, configuration.log_format, clock_),
      state_(configuration.state_dir),
      lock_(lock_state(state_)),
      own_authority_(std::make_shared<const AcmeServer>(
          AcmeServer{.url = std::string(local_server),
                     .name = std::string(local_server),
                     .connect = {},
                     .external_account = {},
                     .own = issue_with(authority_in(state_), authority_terms(configuration), log_)})),
      clients_(clients_of(authority_in(state_), authority_terms(configuration), log_)),
      solvers_(clock_, log_, processes_),
      renewer_(
          state_.accounts(), [this](const std::string& name) { return state_.certificate(name); }, built(), clock_,
          log_, look_at_names) {}

void Wiring::warn_of_curl() {
  if (const std::optional<std::string> warning = curl_warning()) log_.warning(*warning);
}

void Wiring::warn_of_authority(const Configuration& configuration) {
  if (const std::optional<std::string> warning = passphrase_exposed(configuration)) log_.warning(*warning);
  try {
    const std::optional<Authority> found = Authority::open(authority_in(state_), authority_terms(configuration));
    if (!found) return;
    if (const std::optional<std::string> ignored = contradiction(configuration, *found)) log_.warning(*ignored);
  } catch (const Error&) {
    // Who needs it tells what is wrong with it.
  }
}

std::vector<std::unique_ptr<Channel>> Wiring::channels(const Configuration& configuration) const {
  const auto connect = [] {
    return std::make_unique<CurlTransport>(
        CurlTransport::Options{.user_agent = user_agent(),
                               .trust_advice = "let this machine trust its root (update-ca-certificates)",
                               .plain_http = true});
  };
  std::vector<std::unique_ptr<Channel>> channels;
  for (const AlertRule& rule : configuration.alerts) {
    if (rule.kind == AlertRule::Kind::command)
      channels.push_back(tell_command(rule.argv, processes_));
    else if (rule.kind == AlertRule::Kind::url)
      channels.push_back(tell_url(rule.url, connect));
    else
      channels.push_back(tell_ntfy(rule.url, connect));
  }
  return channels;
}

void Wiring::take_folders(const Configuration& configuration) {
  raise_file_limit(configuration);
  for (const CertificateSettings& settings : configuration.certificates) {
    state_.certificate(settings.name).refuse_newer();  // before anything is done
    try {
      if (settings.cert_dir)
        take_folder(*settings.cert_dir);
      else
        make_folder(state_.live(settings.name), 0711);
      for (const DeployRule& rule : settings.deploy) take_folder(rule.folder);
    } catch (const AlreadyRunning&) {
      throw;
    } catch (const Error& error) {
      throw error.while_doing("the cert-dir of " + settings.name + " cannot be used");
    }
  }
}

void Wiring::let_go_of_folders(const Configuration& configuration) {
  std::set<std::string> wanted;
  for (const CertificateSettings& settings : configuration.certificates) {
    if (settings.cert_dir) wanted.insert(*settings.cert_dir);
    for (const DeployRule& rule : settings.deploy) wanted.insert(rule.folder);
  }
  std::erase_if(folder_locks_, [&](const auto& lock) { return !wanted.contains(lock.first); });
}

void Wiring::confine(const Configuration& configuration) {
  Needs needs = needs_of_certificates(configuration);
  if (confinement_) confinement_->check(needs);
  take_folders(configuration);
  if (confinement_) return;

  add_needs_of_process(configuration, state_, needs);
  for (const CertificateSettings& settings : configuration.certificates)
    for (const Endpoint& endpoint : listeners_of(settings)) solvers_.see_holder_of(endpoint.port);
  confinement_.emplace(needs);
  log_.debug(confinement_->describe().empty() ? "no rights are given up" : "given up: " + confinement_->describe());
}

std::vector<Managed> Wiring::manage(const Configuration& configuration) {
  owners_.clear();  // users and groups may have changed, and files
  digests_.clear();
  std::erase_if(servers_, [](const auto& server) { return server.second.use_count() == 1; });
  std::vector<Managed> managed;
  managed.reserve(configuration.certificates.size());
  for (const CertificateSettings& settings : configuration.certificates) managed.push_back(manage_one(settings));
  solvers_.warn_of_idle_sockets();
  return managed;
}

Managed Wiring::manage_one(const CertificateSettings& settings) {
  Managed managed;
  managed.name = settings.name;
  managed.identifiers = settings.identifiers;
  for (const Server& server : settings.servers) managed.servers.push_back(server_for(server, settings));
  managed.email = settings.email;
  managed.key_type = settings.key_type;
  managed.reuse_key = settings.reuse_key;
  managed.profile = settings.profile;
  managed.preferred_chain = settings.preferred_chain;
  if (settings.key_file) use_own_key(settings, managed);
  managed.placeholder = settings.placeholder;
  managed.devices = devices_for(settings);
  if (settings.first_remote_server() != nullptr)
    for (const std::string& challenge : settings.challenges)
      managed.solvers.push_back(solvers_.solver_for(challenge, settings));

  DeploymentTarget& target = managed.target;
  target.name = settings.name;
  target.identifiers = settings.identifiers;
  target.clients = clients_;
  target.folder = cert_dir_of(settings, state_).native();
  target.owner_given = !settings.owner.empty();
  target.ownership = ownership_for(settings);
  for (const DeployRule& rule : settings.deploy) target.further.push_back(further_folder(rule, target.ownership));
  for (const ReloadRule& rule : settings.reload)
    if (rule.kind != ReloadRule::Kind::none) target.reloaders.push_back(reloader_for(rule));
  target.probes = settings.probes;
  target.probe_is_default = settings.probe_is_default;
  target.probe_timeout = settings.probe_timeout;
  target.only_restarts = settings.broker_only_restarts;
  target.restart_window = settings.restart_window;
  return managed;
}

std::optional<DeviceTerms> device_terms_of(const CertificateSettings& settings) {
  const std::filesystem::path trust = settings.device_trust.value_or("");
  if (settings.devices.empty() && trust.empty() && settings.max_chain_bytes == 0) return std::nullopt;
  DeviceTerms terms{settings.devices, std::nullopt, "", settings.max_chain_bytes};
  if (!trust.empty()) {
    terms.roots = RootBundle(trust, "device-trust");
    terms.roots_name = "the roots in " + printable(trust.native());
  } else if (!settings.device_trust && !settings.devices.empty() && settings.first_remote_server() != nullptr) {
    terms.roots = isrg_root_x1();
    terms.roots_name = "ISRG Root X1";
  }
  return terms;
}

/// Null where nothing is said of devices.
std::shared_ptr<const DeviceTerms> Wiring::devices_for(const CertificateSettings& settings) {
  std::optional<DeviceTerms> terms = device_terms_of(settings);
  if (!terms) return nullptr;
  for (const auto& known : devices_)
    if (*known == *terms) return known;
  return devices_.emplace_back(std::make_shared<const DeviceTerms>(*std::move(terms)));
}

const std::string& Wiring::known_digest_of(const std::optional<std::filesystem::path>& file) {
  const auto [known, is_new] = digests_.try_emplace(file.value_or(""));
  if (is_new) known->second = digest_of(file);
  return known->second;
}

std::shared_ptr<const AcmeServer> Wiring::server_for(const Server& server, const CertificateSettings& settings) {
  if (server.local()) return own_authority_;
  const std::string ca_bundle = settings.ca_bundle.value_or("").native();
  const std::string key_file = settings.eab_hmac_key_file.value_or("").native();
  const std::string asked_with =
      known_digest_of(settings.ca_bundle) + settings.eab_kid + known_digest_of(settings.eab_hmac_key_file);
  std::shared_ptr<const AcmeServer>& known = servers_[{server.name, ca_bundle, settings.eab_kid, key_file, asked_with}];
  if (!known) {
    state_.accounts().refuse_newer(server.directory_url);
    const auto pool = std::make_shared<ConnectionPool>([settings] { return connect(settings); });
    std::function<ExternalAccount()> external_account;
    if (!key_file.empty()) {
      if (const std::optional<std::string> warning = exposed(key_file)) log_.warning(*warning);
      external_account = [kid = settings.eab_kid, key_file] { return external_account_in(key_file, kid); };
    }
    known = std::make_shared<const AcmeServer>(AcmeServer{server.directory_url,
                                                          server.name,
                                                          [pool] { return pool->take(); },
                                                          std::move(external_account),
                                                          {},
                                                          asked_with});
  }
  return known;
}

std::shared_ptr<Reloader> Wiring::reloader_for(const ReloadRule& rule) {
  for (const auto& [known, reloader] : reloaders_)
    if (known == rule) return reloader;
  return reloaders_.emplace_back(rule, make_reloader(rule, processes_)).second;
}

Ownership Wiring::ownership_for(const CertificateSettings& settings) {
  if (settings.owner.empty()) return {std::nullopt, std::nullopt, settings.mode};
  auto known = owners_.find(settings.owner);
  if (known == owners_.end()) known = owners_.emplace(settings.owner, parse_owner(settings.owner, settings.mode)).first;
  return {known->second.uid, known->second.gid, settings.mode};
}

void Wiring::take_folder(const std::string& folder) {
  make_folder(folder, 0711);
  if (folder_locks_.contains(folder)) return;
  folder_locks_.emplace(folder, lock_or_throw(std::filesystem::path(folder) / ".acme-agent.lock", folder));
}

}  // namespace acme_agent
