#include <sys/socket.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <acme_agent/acme/session.hpp>
#include <acme_agent/agent/planner.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/deployer.hpp>
#include <acme_agent/broker/mosquitto_conf.hpp>
#include <acme_agent/broker/probe.hpp>
#include <acme_agent/doctor/mosquitto_advice.hpp>
#include <acme_agent/net/alpn_listener.hpp>
#include <acme_agent/net/http01_listener.hpp>
#include <acme_agent/sys/processes.hpp>
#include <acme_agent/sys/tcp.hpp>

#include "commands.hpp"
#include "operators_files.hpp"
#include "wiring.hpp"

namespace acme_agent {
namespace {

using namespace std::chrono_literals;

constexpr Duration patience = 5s;
constexpr const char* default_conf = "/etc/mosquitto/mosquitto.conf";

/// Looks for every cause of failure of one certificate; nothing is changed, and no server is asked to issue.
class Visit {
 public:
  Visit(const CertificateSettings& settings, const std::vector<AlertRule>& alerts, const StateFolder& state,
        bool as_tasmota)
      : settings_(settings),
        alerts_(alerts),
        folder_(cert_dir_of(settings, state)),
        as_tasmota_(as_tasmota || is_for("tasmota")),
        record_(state.certificate(settings.name).peek_record()) {
    examine("certificate", [&] {
      if (std::optional<Held> held = state.certificate(settings.name).held()) held_ = std::move(held->pair);
    });
    for (const ReloadRule& rule : settings.reload)
      examine("reload", [&] { reloaders_.push_back(make_reloader(rule, processes_)); });
  }

  /// In the order of what hurts most.
  Findings findings() && {
    examine("served", [&] { look_at_served(); });
    examine("certificate", [&] { look_at_certificate(); });
    examine("devices", [&] { look_at_devices(); });
    examine("files", [&] { look_at_files(); });
    examine("reload", [&] { rehearse_reload(); });
    look_at_programs();
    examine("mosquitto.conf", [&] { look_at_mosquitto(); });
    if (settings_.first_remote_server() != nullptr) {
      examine("port", [&] { look_at_http_port(); });
      examine("port", [&] { look_at_alpn_port(); });
      examine("server", [&] { look_at_server(); });
      examine("names", [&] { look_at_dns(); });
    }
    std::stable_sort(findings_.begin(), findings_.end(),
                     [](const Finding& one, const Finding& other) { return one.verdict > other.verdict; });
    return std::move(findings_);
  }

 private:
  void good(std::string about, std::string evidence) {
    findings_.push_back({Finding::Verdict::good, std::move(about), std::move(evidence)});
  }
  void hint(std::string about, std::string evidence, std::string remedy) {
    findings_.push_back({Finding::Verdict::hint, std::move(about), std::move(evidence), std::move(remedy)});
  }
  void bad(std::string about, std::string evidence, std::string remedy) {
    findings_.push_back({Finding::Verdict::bad, std::move(about), std::move(evidence), std::move(remedy)});
  }

  template <class Act>
  void examine(const std::string& about, const Act& act) {
    try {
      act();
    } catch (const Error& error) {
      bad(about, error.message(), "");
    }
  }

  bool is_for(std::string_view kind) const {
    return std::any_of(settings_.devices.begin(), settings_.devices.end(),
                       [&](const DeviceKind* one) { return one->name == kind; });
  }

  std::string main_name() const { return settings_.identifiers.front().value; }

  void look_at_served() {
    for (const Endpoint& endpoint : settings_.probes) {
      const std::vector<Look> looks = look_at(endpoint, main_name(), patience, stop_);
      if (!held_) {
        look_at_strangers(endpoint, looks);
        continue;
      }
      const Verdict verdict = judge(looks, held_->chain);
      if (verdict.ok)
        good("served", endpoint.text() + " serves the certificate that is held");
      else if (!verdict.listening && settings_.probe_is_default && targets().empty())
        hint("served", "no broker runs, and nobody listens at " + endpoint.text(),
             "start it, or say with --probe where it is");
      else
        bad("served", endpoint.text() + ": " + verdict.detail,
            verdict.listening ? "'acme-agent renew " + settings_.name + "' tells the broker again"
                              : "start the broker; does it listen there?");
      if (as_tasmota_) look_as_tasmota(endpoint);
    }
  }

  void look_at_strangers(const Endpoint& endpoint, const std::vector<Look>& looks) {
    for (const Look& look : looks)
      if (look.state == Look::State::shown && look.client == TlsClient::standard &&
          !look.peer.chain->leaf().validity().contains(clock_.now()))
        bad("served",
            endpoint.text() + " serves a certificate that is not valid now, until " +
                format_rfc3339(look.peer.chain->leaf().validity().not_after),
            "'acme-agent renew " + settings_.name + "' obtains a new one");
  }

  /// A handshake as Tasmota's: it gets through, and the chain leads to the roots that it knows.
  void look_as_tasmota(const Endpoint& endpoint) {
    for (const Look& look : look_as(TlsClient::tasmota, endpoint, main_name(), patience, stop_)) {
      if (look.state == Look::State::refused || look.state == Look::State::unreachable) continue;
      const std::string where = endpoint.text() + " (" + look.address + ")";
      CertificateSettings as_tasmota = settings_;
      if (as_tasmota.devices.empty()) as_tasmota.devices.push_back(find_device_kind("tasmota"));
      const DeviceTerms terms = *device_terms_of(as_tasmota);
      if (look.state != Look::State::shown)
        bad("tasmota", where + " does not shake hands as Tasmota does: " + look.detail,
            "let the broker speak TLS 1.2 with ECDHE-RSA-AES128-GCM-SHA256 and P-256, with an RSA key of 2048 bits");
      else if (const auto why = why_devices_refuse(*look.peer.chain, terms, clock_.now()))
        bad("tasmota", where + ": " + *why, "");
      else
        good("tasmota", where + " is accepted as Tasmota does it");
    }
  }

  void look_at_certificate() {
    const TimePoint now = clock_.now();
    if (!held_) {
      hint("certificate", "there is none yet" + (record_.last_error.empty() ? "" : ": " + record_.last_error),
           "'acme-agent renew " + settings_.name + "' tries to obtain it now");
      return;
    }
    const Validity validity = held_->chain.leaf().validity();
    if (!validity.contains(now))
      bad("certificate",
          validity.not_after < now ? "it has ended at " + format_rfc3339(validity.not_after)
                                   : "it begins at " + format_rfc3339(validity.not_before),
          "'acme-agent renew " + settings_.name + "'; is the clock right?");
    else if (record_.failures > 0)
      bad("certificate", "the last attempt failed: " + record_.last_error, "");
    else if (record_.next_attempt && *record_.next_attempt < now - 1h)
      bad("certificate",
          "the next attempt was due at " + format_rfc3339(*record_.next_attempt) + ", and nobody made it",
          "start the agent, or its timer");
    else
      good("certificate", "valid until " + format_rfc3339(validity.not_after));
    const bool as_asked = !settings_.key_file && held_->key.type() != settings_.key_type;
    if (as_asked)
      hint("certificate", "its key is of another type than " + std::string(to_string(settings_.key_type)),
           "the next renewal changes that; the broker has to be restarted then");
  }

  void look_at_devices() {
    const std::optional<DeviceTerms> terms = device_terms_of(settings_);
    if (!terms || !held_) return;
    if (const auto why = why_devices_refuse(held_->chain, *terms, clock_.now()))
      bad("devices", *why, "");
    else
      good("devices", "they take the chain that is held");
  }

  std::vector<Process> targets() const {
    std::vector<Process> all;
    for (const auto& reloader : reloaders_)
      for (const Process& process : reloader->targets()) all.push_back(process);
    return all;
  }

  void look_at_files() {
    DeploymentTarget target;
    target.folder = folder_.native();
    const std::optional<CertifiedKey> deployed = Deployer::deployed(target);
    if (!deployed) {
      if (held_)
        bad("files", "there is no matching pair in " + printable(target.folder),
            "'acme-agent renew " + settings_.name + "' puts it there");
      return;
    }
    if (held_ && deployed->chain.leaf() != held_->chain.leaf())
      bad("files",
          "what lies in " + printable(target.folder) + " is not what is held (" + record_.deploy.last_error + ")",
          "'acme-agent renew " + settings_.name + "' puts it there");
    bool readable = true;
    for (const Process& process : targets())
      for (const char* file : {"fullchain.pem", "privkey.pem"})
        if (const auto why = why_unreadable(process, folder_ / file, folder_)) {
          readable = false;
          bad("files",
              printable(process.name) + " (pid " + std::to_string(process.pid) + ") cannot read " + file + ": " + *why,
              "name its user or group with --owner USER:GROUP");
        }
    if (readable) good("files", "a matching pair lies in " + printable(target.folder));
  }

  /// All of a reload but the signal.
  void rehearse_reload() {
    if (reloaders_.empty()) return;
    const std::vector<Process> processes = targets();
    for (const Process& process : processes) {
      if (!process.survives_hangup)
        bad("reload", printable(process.name) + " (pid " + std::to_string(process.pid) + ") would end at SIGHUP",
            "is it the broker, and has it started?");
      processes_.signal(process, 0);
      good("reload", printable(process.name) + " (pid " + std::to_string(process.pid) + ") can be told");
    }
    const bool only_unseen = std::none_of(settings_.reload.begin(), settings_.reload.end(), [](const ReloadRule& rule) {
      return rule.kind == ReloadRule::Kind::process || rule.kind == ReloadRule::Kind::pidfile;
    });
    if (processes.empty() && !only_unseen)
      hint("reload", "nobody is there who could be told by " + reloaders_.front()->describe(),
           "start the broker, or say with --reload how it is told");
  }

  void look_at_programs() {
    for (const std::string& missing : missing_programs({settings_}, alerts_))
      bad("programs", missing, "correct its path, or make it executable");
  }

  void look_at_mosquitto() {
    if (reloaders_.empty()) return;
    MosquittoCase mosquitto;
    mosquitto.cert_dir = folder_;
    mosquitto.own_authority = record_.held && record_.held->server == local_server;
    mosquitto.now = clock_.now();
    mosquitto.tls12_devices = as_tasmota_ || is_for("shelly");
    if (held_) mosquitto.held = held_->chain;
    mosquitto.conf = default_conf;
    const std::vector<Process> processes = targets();
    if (!processes.empty()) {
      mosquitto.broker = processes.front();
      const std::optional<MosquittoPlace> place = find_mosquitto(processes.front());
      if (!place) return;
      mosquitto.conf = place->conf;
      mosquitto.root = place->root;
    } else if (!std::ifstream(default_conf)) {
      return;
    }
    const Findings all = examine_mosquitto(mosquitto);
    findings_.insert(findings_.end(), all.begin(), all.end());
    if (all.empty()) good("mosquitto.conf", printable(mosquitto.conf.native()) + " uses the files as it should");
  }

  bool proves_by(const char* challenge) const {
    return std::find(settings_.challenges.begin(), settings_.challenges.end(), challenge) != settings_.challenges.end();
  }

  bool is_held_for_agent(const Endpoint& endpoint) {
    const std::string holder = describe_port_holder(endpoint.port);
    if (!holder.starts_with("systemd (pid 1)") && !holder.starts_with("acme-agent (")) return false;
    good("port", endpoint.text() + " is held by " + holder + " for the agent");
    return true;
  }

  /// Whether the port can be had, and whether a visit by the public name comes back to it.
  void look_at_http_port() {
    if (!proves_by("http-01") || settings_.webroot || is_held_for_agent(settings_.http_listen)) return;
    Log silent(LogLevel::error, LogFormat::text, clock_);
    Http01Listener listener(settings_.http_listen, describe_port_holder, silent);
    const auto answer = listener.publish("acme-agent-doctor", "acme-agent-doctor");
    good("port", listener.address() + " is free to answer http-01");
    for (const Identifier& name : settings_.identifiers) {
      if (name.wildcard()) continue;
      if (visits(name.value, *answer))
        good("port", "a visit to " + name.value + " comes back to this machine");
      else
        hint("port",
             "a visit to " + name.value + " at port " + std::to_string(public_port) +
                 " does not come back to this machine",
             "no proof that it fails from outside, as many routers lead nobody back: is the port forwarded?");
    }
  }

  void look_at_alpn_port() {
    if (!proves_by("tls-alpn-01") || is_held_for_agent(settings_.alpn_listen)) return;
    Log silent(LogLevel::error, LogFormat::text, clock_);
    AlpnListener listener(settings_.alpn_listen, describe_port_holder, silent);
    const PrivateKey key = PrivateKey::generate(KeyType::ec256);
    const Certificate shown = make_placeholder(key, settings_.identifiers, clock_.now(), patience);
    listener.publish(main_name(), {key, CertificateChain({shown})});
    good("port", listener.address() + " is free to answer tls-alpn-01");
  }

  static constexpr std::uint16_t public_port = 80;

  bool visits(const std::string& host, const Http01Listener::Answer& answer) {
    std::vector<std::string> addresses;
    try {
      addresses = resolve(host, patience, stop_);
    } catch (const Error&) {
      return false;
    }
    for (const std::string& address : addresses) {
      const Connection connection = connect_tcp(address, public_port, patience, stop_);
      if (!connection.socket.valid()) continue;
      const std::string request =
          "GET /.well-known/acme-challenge/acme-agent-doctor HTTP/1.0\r\nHost: " + host + "\r\n\r\n";
      const unsigned seen = answer.visits();
      if (::send(connection.socket.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0 &&
          answer.wait_for_visit(seen, patience, stop_))
        return true;
    }
    return false;
  }

  void look_at_server() {
    const Server& server = *settings_.first_remote_server();
    const std::unique_ptr<Transport> transport = connect(settings_);
    const Directory directory = fetch_directory(*transport, clock_, server.directory_url, stop_);
    issuers_ = directory.caa_identities;
    const std::optional<std::string> wrong =
        directory.date ? why_clock_is_wrong(clock_.now(), *directory.date) : std::nullopt;
    if (wrong)
      bad("clock", *wrong, "set the clock, or let it be set over the network (timedatectl set-ntp true)");
    else
      good("clock", server.name + " answers, and its clock agrees with ours");
  }

  void look_at_dns() {
    const std::vector<std::string> sentences =
        look_at_names(settings_.identifiers, settings_.challenges.front(), issuers_, stop_);
    for (const std::string& sentence : sentences)
      hint("names", sentence, "change it at the provider of your DNS, if the authority sees the same");
    if (sentences.empty()) good("names", "nothing in the DNS stands in the way");
  }

  const CertificateSettings& settings_;
  const std::vector<AlertRule>& alerts_;
  const std::filesystem::path folder_;
  const bool as_tasmota_;
  const Record record_;
  SystemClock clock_;
  SystemProcesses processes_;
  std::stop_token stop_;
  std::optional<CertifiedKey> held_;
  std::vector<std::unique_ptr<Reloader>> reloaders_;
  std::vector<std::string> issuers_;
  Findings findings_;
};

std::string word_of(Finding::Verdict verdict) {
  return verdict == Finding::Verdict::bad ? "BAD" : verdict == Finding::Verdict::hint ? "hint" : "good";
}

void print(const std::string& name, const Findings& findings) {
  std::cout << name << "\n";
  for (const Finding& finding : findings) {
    const std::string word = word_of(finding.verdict);
    std::cout << "  " << word << std::string(6 - word.size(), ' ') << finding.about << ": " << finding.evidence << "\n";
    if (!finding.remedy.empty()) std::cout << "        " << finding.remedy << "\n";
  }
}

nlohmann::ordered_json to_json(const std::string& name, const Findings& findings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Finding& finding : findings)
    list.push_back({{"verdict", finding.verdict == Finding::Verdict::bad ? "bad" : word_of(finding.verdict)},
                    {"about", finding.about},
                    {"evidence", finding.evidence},
                    {"remedy", finding.remedy}});
  return {{"name", name}, {"findings", list}};
}

}  // namespace

int doctor(const CommandLine& command_line, const Environment& environment) {
  const bool as_tasmota = command_line.as == "tasmota";
  if (!command_line.as.empty() && !as_tasmota)
    throw Error(Remedy::ask_operator, "--as '" + printable(command_line.as, 80) + "' is not known: write --as tasmota");
  const Configuration configuration = load_configuration(command_line, environment);
  const StateFolder state(configuration.state_dir);
  const std::vector<std::string>& wanted = command_line.arguments;
  std::vector<const CertificateSettings*> certificates;
  for (const CertificateSettings& settings : configuration.certificates)
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), settings.name) != wanted.end())
      certificates.push_back(&settings);
  if (certificates.empty() || certificates.size() < wanted.size())
    throw Error(Remedy::ask_operator, wanted.empty()
                                          ? "there is nothing to look at: give --domain NAME or a configuration"
                                          : "the configuration has no certificate '" + printable(wanted.front()) +
                                                "': 'acme-agent status' lists them");
  int exit_code = exit_ok;
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const CertificateSettings* settings : certificates) {
    const Findings findings = Visit(*settings, configuration.alerts, state, as_tasmota).findings();
    for (const Finding& finding : findings)
      if (finding.verdict == Finding::Verdict::bad) exit_code = exit_failed;
    if (command_line.json)
      all.push_back(to_json(settings->name, findings));
    else
      print(settings->name, findings);
  }
  if (command_line.json)
    std::cout << nlohmann::ordered_json{{"version", ACME_AGENT_VERSION}, {"certificates", all}}.dump(
                     2, ' ', false, nlohmann::json::error_handler_t::replace)
              << "\n";
  return exit_code;
}

}  // namespace acme_agent
