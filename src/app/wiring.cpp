#include "wiring.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <iostream>
#include <set>
#include <utility>

#include <acme_agent/acme/external_account.hpp>
#include <acme_agent/agent/known_servers.hpp>
#include <acme_agent/base/local_server.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/reloader.hpp>
#include <acme_agent/challenge/dns_hook_solver.hpp>
#include <acme_agent/challenge/dns_persist_solver.hpp>
#include <acme_agent/challenge/dns_update_solver.hpp>
#include <acme_agent/challenge/http01_solver.hpp>
#include <acme_agent/challenge/tls_alpn01_solver.hpp>
#include <acme_agent/challenge/webroot_solver.hpp>
#include <acme_agent/crypto/digest.hpp>
#include <acme_agent/crypto/root_bundle.hpp>
#include <acme_agent/dns/advice.hpp>
#include <acme_agent/net/connection_pool.hpp>
#include <acme_agent/net/curl_transport.hpp>
#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/identity.hpp>
#include <acme_agent/sys/tcp.hpp>

#include "authority_terms.hpp"
#include "commands.hpp"
#include "own_authority.hpp"

namespace acme_agent {
namespace {

constexpr Duration hook_timeout = std::chrono::seconds(60);
constexpr Duration systemd_timeout = std::chrono::seconds(30);
constexpr Duration reload_request_timeout = std::chrono::seconds(10);
constexpr Duration dns_hook_timeout = std::chrono::minutes(5);  // many wait until all name servers show the record

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

/// By the name of the socket, or by its port.
bool is_for(const PassedSocket& socket, const std::string& challenge, const Endpoint& endpoint) {
  return socket.name == challenge || socket.port == endpoint.port;
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

Secret operators_file(const std::filesystem::path& file) {
  constexpr std::size_t longest = 65536;
  std::optional<Secret> text = read_file(file, longest);
  if (!text) throw Error(Remedy::ask_operator, "there is no such file");
  return *std::move(text);
}

ExternalAccount external_account_in(const std::string& key_file, const std::string& kid) {
  try {
    return read_external_account(kid, operators_file(key_file));
  } catch (const Error& error) {
    throw Error(Remedy::ask_operator, "eab-hmac-key-file " + printable(key_file) + ": " + error.message());
  }
}

std::optional<std::string> exposed(const std::string& secret_file) {
  struct stat status {};
  if (::stat(secret_file.c_str(), &status) != 0 || (status.st_mode & 0004) == 0) return std::nullopt;
  return printable(secret_file) + " holds a secret, and every user of this machine can read it: chmod 0600 " +
         printable(secret_file);
}

void warn_if_all_can_read(const std::string& secret_file, Log& log) {
  if (const std::optional<std::string> warning = exposed(secret_file)) log.warning(*warning);
}

/// The binding is needed once only: its file may be gone when there is an account. Let's Encrypt needs none.
void check_external_account(const CertificateSettings& settings, const Accounts& accounts) {
  const auto is_known = [&](const Server& server) {
    const std::optional<Account> account = accounts.load(server.directory_url);
    return server.local() || known_server(server.directory_url) != nullptr || (account && !account->url.empty());
  };
  if (!std::all_of(settings.servers.begin(), settings.servers.end(), is_known))
    external_account_in(settings.eab_hmac_key_file->native(), settings.eab_kid);
}

PrivateKey key_in(const std::filesystem::path& file) {
  try {
    return PrivateKey::from_pem(operators_file(file));
  } catch (const Error& error) {
    throw Error(Remedy::ask_operator, "key-file " + printable(file.native()) + ": " + error.message());
  }
}

SigningRequest csr_in(const CertificateSettings& settings, const PrivateKey& key) {
  try {
    SigningRequest request = read_csr(operators_file(*settings.csr).reveal(), key);
    if (same_names(request.identifiers, settings.identifiers)) return request;
    std::vector<std::string> names;
    for (const Identifier& identifier : request.identifiers) names.push_back(identifier.value);
    throw Error(Remedy::ask_operator,
                names.empty() ? "it names no domain"
                              : "it is for " + printable(join(names), 400) + ": give exactly these names as domain");
  } catch (const Error& error) {
    throw Error(Remedy::ask_operator, "csr " + printable(settings.csr->native()) + ": " + error.message());
  }
}

void use_own_key(const CertificateSettings& settings, Managed& managed) {
  const PrivateKey key = key_in(*settings.key_file);
  managed.key_type = key.type();
  managed.key_file = settings.key_file->native();
  managed.key_thumbprint = key.thumbprint();
  if (settings.csr) managed.csr = csr_in(settings, key).der;
}

FurtherFolder further_folder(const DeployRule& rule, const Ownership& usual) {
  FurtherFolder folder{rule.folder.native(), usual, FurtherFolder::Format::pem, rule.password_file.native()};
  if (!rule.owner.empty()) folder.ownership = parse_owner(rule.owner, rule.mode);
  folder.ownership.mode = rule.mode;
  if (rule.format == "combined") folder.format = FurtherFolder::Format::combined;
  if (rule.format == "pkcs12") folder.format = FurtherFolder::Format::pkcs12;
  return folder;
}

void add_listener(const Endpoint& endpoint, Needs& needs) {
  if (endpoint.port < 1024) needs.low_ports = true;
}

void add_listener(const SocketPlace& place, Needs& needs) {
  if (const auto* path = std::get_if<std::filesystem::path>(&place))
    needs.folders.insert(path->parent_path());
  else
    add_listener(std::get<Endpoint>(place), needs);
}

/// Where challenges are answered by listeners of ours.
std::vector<Endpoint> listeners_of(const CertificateSettings& settings) {
  std::vector<Endpoint> endpoints;
  if (settings.first_remote_server() == nullptr) return endpoints;  // no challenges
  for (const std::string& challenge : settings.challenges) {
    if (challenge == "http-01" && !settings.webroot) endpoints.push_back(settings.http_listen);
    if (challenge == "tls-alpn-01") endpoints.push_back(settings.alpn_listen);
  }
  return endpoints;
}

// What is below a folder is not below a link in it.

void add_webroot(const std::filesystem::path& webroot, Needs& needs) {
  needs.folders.insert({webroot, webroot / ".well-known", webroot / ".well-known/acme-challenge"});
}

void add_with_links(const std::filesystem::path& folder, Needs& needs) {
  needs.folders.insert(folder);
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::error_code gone;
    if (entry->is_symlink(gone) && entry->is_directory(gone)) needs.folders.insert(entry->path());
  }
}

void add_needs(const CertificateSettings& settings, Needs& needs) {
  if (settings.cert_dir) needs.folders.insert(*settings.cert_dir);
  for (const DeployRule& rule : settings.deploy) needs.folders.insert(rule.folder);
  for (const ReloadRule& rule : settings.reload) {
    if (rule.kind == ReloadRule::Kind::command) needs.programs = true;
    if (rule.kind == ReloadRule::Kind::process || rule.kind == ReloadRule::Kind::pidfile) needs.signals = true;
  }
  for (const Endpoint& endpoint : listeners_of(settings)) add_listener(endpoint, needs);
  if (settings.first_remote_server() == nullptr) return;
  for (const std::string& challenge : settings.challenges) {
    if (challenge == "http-01" && settings.webroot) add_webroot(*settings.webroot, needs);
    if (challenge == "dns-01" && !settings.dns_hooks.empty()) needs.programs = true;
  }
}

/// Read each time, as it may change.
Resolver system_resolver() {
  return Resolver::of_system();
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

std::optional<std::string> passphrase_exposed(const Configuration& configuration) {
  if (!configuration.ca_passphrase_file) return std::nullopt;
  return exposed(configuration.ca_passphrase_file->native());
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

void check_machine(const Configuration& configuration) {
  std::set<std::string> complaints;
  const auto try_out = [&complaints](const std::string& what, const auto& act) {
    try {
      act();
    } catch (const Error& error) {
      complaints.insert(what + ": " + error.message());
    }
  };
  std::set<std::string> owners;
  std::set<std::string> bundles;
  std::set<std::string> bindings;
  std::set<std::string> key_files;
  for (const CertificateSettings& settings : configuration.certificates) {
    if (settings.key_file)
      try_out(settings.name, [&] {
        Managed managed;
        use_own_key(settings, managed);
      });
    if (!settings.owner.empty() && owners.insert(settings.owner).second)
      try_out("owner of " + settings.name, [&] { parse_owner(settings.owner, settings.mode); });
    for (const DeployRule& rule : settings.deploy)
      if (!rule.owner.empty() && owners.insert(rule.owner).second)
        try_out("deploy of " + settings.name, [&] { parse_owner(rule.owner, rule.mode); });
    if (settings.ca_bundle && bundles.insert(settings.ca_bundle->native()).second)
      try_out("ca-bundle", [&] { RootBundle{*settings.ca_bundle}; });
    if (settings.device_trust && !settings.device_trust->empty() &&
        bundles.insert(settings.device_trust->native()).second)
      try_out("device-trust", [&] { RootBundle(*settings.device_trust, "the file"); });
    if (settings.eab_hmac_key_file && bindings.insert(settings.eab_hmac_key_file->native()).second)
      try_out("the external account binding",
              [&] { check_external_account(settings, StateFolder(configuration.state_dir).accounts()); });
    if (settings.dns_tsig_file && key_files.insert(settings.dns_tsig_file->native()).second)
      try_out("dns-tsig-file", [&] { read_tsig_key(*settings.dns_tsig_file); });
  }
  try_out("mqtt", [&] { mqtt_password_in(configuration); });
  if (const AuthorityTerms terms = authority_terms(configuration); terms.passphrase)
    try_out("our own authority", terms.passphrase);
  std::string all;
  for (const std::string& complaint : complaints) all += (all.empty() ? "" : "\n") + complaint;
  if (!all.empty()) throw Error(Remedy::ask_operator, all);
}

std::vector<std::string> look_at_names(const std::vector<Identifier>& names, const std::string& challenge,
                                       const std::vector<std::string>& issuers, const std::stop_token& stop) {
  constexpr Duration patience = std::chrono::seconds(5);
  return explain_names(system_resolver(), names, challenge, issuers, own_addresses(), patience, stop);
}

std::filesystem::path cert_dir_of(const CertificateSettings& settings, const StateFolder& state) {
  return settings.cert_dir.value_or(state.live(settings.name));
}

Wiring::Wiring(const Configuration& configuration)
    : log_(configuration.log_level, configuration.log_format, clock_),
      passed_(take_passed_sockets()),
      state_(configuration.state_dir),
      lock_(lock_state(state_)),
      own_authority_(std::make_shared<const AcmeServer>(
          AcmeServer{.url = std::string(local_server),
                     .name = std::string(local_server),
                     .connect = {},
                     .external_account = {},
                     .own = issue_with(authority_in(state_), authority_terms(configuration), log_)})),
      clients_(clients_of(authority_in(state_), authority_terms(configuration), log_)),
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

Secret mqtt_password_in(const Configuration& configuration) {
  if (!configuration.mqtt_password_file) return {};
  const std::filesystem::path& file = *configuration.mqtt_password_file;
  try {
    if (!configuration.mqtt || configuration.mqtt->user.empty())
      throw Error(Remedy::ask_operator, "it is of no use without a user: give --mqtt mqtts://USER@HOST");
    const Secret text = operators_file(file);
    return Secret(text.reveal().substr(0, text.reveal().find_last_not_of("\r\n") + 1));
  } catch (const Error& error) {
    throw Error(Remedy::ask_operator, "mqtt-password-file " + printable(file.native()) + ": " + error.message());
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

void Wiring::confine(const Configuration& configuration) {
  Needs needs;
  for (const CertificateSettings& settings : configuration.certificates) add_needs(settings, needs);
  if (confinement_) confinement_->check(needs);
  take_folders(configuration);
  if (confinement_) return;

  add_with_links(state_.path(), needs);
  add_with_links(state_.path() / "live", needs);
  if (configuration.status_listen) add_listener(*configuration.status_listen, needs);
  for (const AlertRule& rule : configuration.alerts)
    if (rule.kind == AlertRule::Kind::command) needs.programs = true;
  for (const CertificateSettings& settings : configuration.certificates)
    for (const Endpoint& endpoint : listeners_of(settings))
      if (!port_holders_.contains(endpoint.port)) port_holders_.emplace(endpoint.port, port_holder(endpoint.port));
  confinement_.emplace(needs);
  log_.debug(confinement_->describe().empty() ? "no rights are given up" : "given up: " + confinement_->describe());
}

std::vector<Managed> Wiring::manage(const Configuration& configuration) {
  owners_.clear();  // users and groups may have changed
  std::vector<Managed> managed;
  managed.reserve(configuration.certificates.size());
  for (const CertificateSettings& settings : configuration.certificates) managed.push_back(manage_one(settings));
  warn_of_idle_sockets();
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
    for (const std::string& challenge : settings.challenges) managed.solvers.push_back(solver_for(challenge, settings));

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

/// Another text for another content, whenever that was written; empty for none, or where whoever needs it will say why.
std::string digest_of(const std::optional<std::filesystem::path>& file) {
  if (!file) return {};
  try {
    const std::optional<Secret> content = read_file(*file);
    return content ? to_hex(sha256(content->reveal())) : "";
  } catch (const Error&) {
    return {};
  }
}

std::shared_ptr<const AcmeServer> Wiring::server_for(const Server& server, const CertificateSettings& settings) {
  if (server.local()) return own_authority_;
  const std::string key_file = settings.eab_hmac_key_file.value_or("").native();
  std::shared_ptr<const AcmeServer>& known =
      servers_[{server.name, settings.ca_bundle.value_or("").native(), settings.eab_kid, key_file}];
  if (!known) {
    state_.accounts().refuse_newer(server.directory_url);
    const auto pool = std::make_shared<ConnectionPool>([settings] { return connect(settings); });
    std::function<ExternalAccount()> external_account;
    if (!key_file.empty()) {
      warn_if_all_can_read(key_file, log_);
      external_account = [kid = settings.eab_kid, key_file] { return external_account_in(key_file, kid); };
    }
    known = std::make_shared<const AcmeServer>(
        AcmeServer{server.directory_url,
                   server.name,
                   [pool] { return pool->take(); },
                   std::move(external_account),
                   {},
                   digest_of(settings.ca_bundle) + settings.eab_kid + digest_of(settings.eab_hmac_key_file)});
  }
  return known;
}

std::shared_ptr<Reloader> Wiring::reloader_for(const ReloadRule& rule) {
  for (const auto& [known, reloader] : reloaders_)
    if (known == rule) return reloader;
  return reloaders_.emplace_back(rule, make_reloader(rule, processes_)).second;
}

std::shared_ptr<Solver> Wiring::solver_for(const std::string& challenge, const CertificateSettings& settings) {
  if (challenge == "tls-alpn-01") return alpn_solver_at(settings.alpn_listen);
  if (challenge == "dns-01" && !settings.dns_hooks.empty()) return dns_hook_solver_for(settings);
  if (challenge == "dns-01") return dns_update_solver_for(settings);
  if (challenge == "dns-persist-01") return dns_persist_solver();
  if (settings.webroot) return webroot_solver_in(*settings.webroot);
  return http_solver_at(settings.http_listen);
}

std::shared_ptr<Solver> Wiring::http_solver_at(const Endpoint& endpoint) {
  const std::string place = place_of("http-01", endpoint);
  std::shared_ptr<Solver>& solver = solvers_["http-01 at " + place];
  if (!solver) {
    const auto& listener = http_listeners_[place] = make_listener<Http01Listener>("http-01", endpoint);
    solver = std::make_shared<Http01Solver>(*listener);
  }
  return solver;
}

std::shared_ptr<Solver> Wiring::alpn_solver_at(const Endpoint& endpoint) {
  const std::string place = place_of("tls-alpn-01", endpoint);
  std::shared_ptr<Solver>& solver = solvers_["tls-alpn-01 at " + place];
  if (!solver) {
    const auto& listener = alpn_listeners_[place] = make_listener<AlpnListener>("tls-alpn-01", endpoint);
    solver = std::make_shared<TlsAlpn01Solver>(*listener, clock_);
  }
  return solver;
}

template <class Listener>
std::shared_ptr<Listener> Wiring::make_listener(const std::string& challenge, const Endpoint& endpoint) {
  std::vector<int> passed;
  for (PassedSocket& socket : passed_)
    if (socket.descriptor.valid() && is_for(socket, challenge, endpoint)) passed.push_back(socket.descriptor.release());
  if (passed.empty())
    return std::make_shared<Listener>(
        endpoint, [this](std::uint16_t port) { return describe_holder(port); }, log_);
  return std::make_shared<Listener>(passed, log_);
}

std::string Wiring::describe_holder(std::uint16_t port) const {
  if (const std::optional<Process> seen = port_holder(port)) return describe(*seen);
  const auto known = port_holders_.find(port);
  if (known == port_holders_.end() || !known->second) return {};
  const std::optional<Process> now = processes_.find(known->second->pid);
  return now == known->second ? describe(*now) : "";
}

/// The same for those that share a listener.
std::string Wiring::place_of(const std::string& challenge, const Endpoint& endpoint) const {
  std::string passed;
  for (std::size_t i = 0; i < passed_.size(); ++i)
    if (is_for(passed_[i], challenge, endpoint)) passed += " passed socket " + std::to_string(i);
  return passed.empty() ? endpoint.text() : passed;
}

Solvers Wiring::solvers() const {
  Solvers all;
  for (const auto& [place, solver] : solvers_) all.push_back(solver);
  return all;
}

void Wiring::warn_of_idle_sockets() {
  for (const PassedSocket& socket : passed_)
    if (socket.descriptor.valid())
      log_.warning("no challenge uses the socket that was passed in for port " + std::to_string(socket.port) +
                   ": name it with FileDescriptorName=http-01 or tls-alpn-01, or give that port with --http-listen or "
                   "--alpn-listen");
}

std::shared_ptr<Solver> Wiring::webroot_solver_in(const std::filesystem::path& folder) {
  std::shared_ptr<Solver>& solver = solvers_["http-01 in " + folder.native()];
  if (!solver) solver = std::make_shared<WebrootSolver>(folder);
  return solver;
}

std::shared_ptr<Solver> Wiring::dns_hook_solver_for(const CertificateSettings& settings) {
  auto made = std::make_shared<DnsHookSolver>(settings.dns_hooks, dns_hook_timeout, processes_, log_);
  std::shared_ptr<Solver>& solver = solvers_[made->describe()];
  if (!solver) solver = std::move(made);
  return solver;
}

std::shared_ptr<Solver> Wiring::dns_update_solver_for(const CertificateSettings& settings) {
  std::optional<TsigKey> key;
  if (settings.dns_tsig_file) key = read_tsig_key(*settings.dns_tsig_file);
  UpdateServer primary(settings.dns_update.value(), std::move(key), system_resolver, clock_);
  std::shared_ptr<Solver>& solver = solvers_["dns-01 by " + primary.describe()];  // another for another key in the file
  if (solver) return solver;
  if (settings.dns_tsig_file) warn_if_all_can_read(settings.dns_tsig_file->native(), log_);
  return solver = std::make_shared<DnsUpdateSolver>(std::move(primary), clock_, log_);
}

std::shared_ptr<Solver> Wiring::dns_persist_solver() {
  std::shared_ptr<Solver>& solver = solvers_["dns-persist-01"];
  if (!solver) solver = std::make_shared<DnsPersistSolver>(system_resolver, clock_);
  return solver;
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
