#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <acme_agent/agent/renewer.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/deployer.hpp>
#include <acme_agent/store/state.hpp>
#include <acme_agent/sys/generations.hpp>

#include "commands.hpp"
#include "wiring.hpp"

namespace acme_agent {
namespace {

/// What of a certificate to look at first.
enum class Urgency { expired, missing, placeholder, failing, not_served, good };

/// Everything that is known of one certificate, as the files tell; no agent is asked and nothing is changed.
struct Report {
  std::string name;
  std::vector<std::string> domains;
  std::string server;
  std::string state;  ///< valid, placeholder, expired, missing
  std::optional<Certificate> leaf;
  std::string chain_top;
  std::filesystem::path folder;
  Record record;
  std::map<std::string, std::string> server_names;  ///< By directory URL, as the configuration calls them.
  bool overdue = false;
  Urgency urgency = Urgency::good;

  int exit_code() const { return urgency < Urgency::not_served ? 1 : urgency == Urgency::not_served ? 3 : 0; }

  std::string name_of(const std::string& url) const {
    const auto known = server_names.find(url);
    return known == server_names.end() ? url : known->second;
  }

  /// What the server of the held certificate says about its renewal; null if nothing is known.
  const RenewalAdvice* advice() const {
    const bool of_held = record.held && !record.advice.id.empty() && record.advice.id == record.held->renewal_info_id;
    return of_held ? &record.advice : nullptr;
  }
};

/// The chain that is held and where it comes from.
struct HeldChain {
  CertificateChain chain;
  std::string server;
};

/// Parsing a key takes ten times longer than all the rest: where the agent has found that the pair matches, and the
/// files are those that it has seen, the chain is enough.
std::optional<HeldChain> held_chain(const CertificateState& state, const Record& record) {
  if (record.held && record.held->stamp == state.held_stamp()) {
    try {
      if (const std::optional<Secret> text = GenerationFolder(state.folder() / "held").read("fullchain.pem"))
        return HeldChain{CertificateChain::from_pem(text->reveal()), record.held->server};
    } catch (const Error&) {  // they were replaced just now
    }
  }
  std::optional<Held> held = state.held();
  if (!held) return std::nullopt;
  return HeldChain{std::move(held->pair.chain), std::move(held->server)};
}

std::string state_of(const Report& report, bool held, TimePoint now) {
  if (!report.leaf) return "missing";
  if (report.leaf->validity().not_after <= now) return "expired";
  return !held && report.leaf->placeholder() ? "placeholder" : "valid";
}

Urgency urgency_of(const Report& report, bool held, TimePoint now) {
  if (report.state == "expired") return Urgency::expired;
  if (report.state == "missing") return Urgency::missing;
  if (report.state == "placeholder") return Urgency::placeholder;
  const bool in_date = report.leaf->validity().contains(now);
  if (!held || !in_date || report.record.failures > 0 || report.overdue) return Urgency::failing;
  return report.record.deploy.ok ? Urgency::good : Urgency::not_served;
}

Report report_on(const std::string& name, const CertificateSettings* settings, const StateFolder& state_folder,
                 TimePoint now) {
  Report report;
  report.name = name;
  const CertificateState state = state_folder.certificate(name);
  report.record = state.peek_record();
  report.folder = settings != nullptr              ? cert_dir_of(*settings, state_folder)
                  : report.record.cert_dir.empty() ? state_folder.live(name)
                                                   : report.record.cert_dir;

  const std::optional<HeldChain> held = held_chain(state, report.record);
  std::optional<CertificateChain> chain;
  if (held) {
    chain = held->chain;
  } else {
    DeploymentTarget target;
    target.folder = report.folder.native();
    if (const std::optional<CertifiedKey> deployed = Deployer::deployed(target)) chain = deployed->chain;
  }
  if (chain) {
    report.leaf = chain->leaf();
    report.chain_top = chain->top();
  }

  if (settings != nullptr) {
    for (const Server& server : settings->servers) report.server_names.emplace(server.directory_url, server.name);
    for (const Identifier& identifier : settings->identifiers) report.domains.push_back(identifier.value);
  } else if (report.leaf) {
    for (const Identifier& identifier : report.leaf->identifiers())
      report.domains.push_back(printable(identifier.value));
  }
  if (held && !held->server.empty())
    report.server = report.name_of(held->server);
  else if (settings != nullptr)
    report.server = settings->servers.front().name;

  report.overdue = held && (!report.record.next_attempt || *report.record.next_attempt <= now);
  report.state = state_of(report, held.has_value(), now);
  report.urgency = urgency_of(report, held.has_value(), now);
  return report;
}

/// Sorts the most urgent first; of those that are alike, what ends or is to be done first.
auto rank(const Report& report) {
  const bool has_end = report.leaf && report.urgency != Urgency::good;
  const std::optional<TimePoint> moment =
      has_end ? std::optional(report.leaf->validity().not_after) : report.record.next_attempt;
  return std::tuple<Urgency, TimePoint, const std::string&>(report.urgency, moment.value_or(TimePoint::max()),
                                                            report.name);
}

nlohmann::json time_or_null(const std::optional<TimePoint>& time) {
  return time ? nlohmann::json(format_rfc3339(*time)) : nlohmann::json(nullptr);
}

nlohmann::json text_or_null(const std::string& text) {
  return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
}

nlohmann::json to_json(const Report& report) {
  nlohmann::json json{
      {"name", report.name},
      {"domains", report.domains},
      {"server", report.server},
      {"state", report.state},
      {"not_before", nullptr},
      {"not_after", nullptr},
      {"serial", nullptr},
      {"fingerprint_sha256", nullptr},
      {"key_type", nullptr},
      {"issuer", nullptr},
      {"chain_top", text_or_null(report.chain_top)},
      {"files", nlohmann::json::object()},
      {"next_attempt", time_or_null(report.record.next_attempt)},
      {"reason", to_string(report.record.reason)},
      {"last_attempt", time_or_null(report.record.last_attempt)},
      {"last_error", text_or_null(report.record.last_error)},
      {"failures", report.record.failures},
      {"deploy",
       {{"ok", report.record.deploy.ok},
        {"next_attempt", time_or_null(report.record.deploy.next_attempt)},
        {"last_error", text_or_null(report.record.deploy.last_error)}}},
      {"served", nlohmann::json::array()},
      {"renewal_info", nullptr},
      {"servers", nlohmann::json::array()},
  };
  if (report.leaf) {
    json["not_before"] = format_rfc3339(report.leaf->validity().not_before);
    json["not_after"] = format_rfc3339(report.leaf->validity().not_after);
    json["serial"] = report.leaf->serial();
    json["fingerprint_sha256"] = report.leaf->fingerprint_sha256();
    if (const std::optional<KeyType> type = report.leaf->key_type()) json["key_type"] = to_string(*type);
    json["issuer"] = report.leaf->issuer();
    for (const char* file : {"cert", "chain", "fullchain", "privkey", "combined"})
      json["files"][file] = report.folder / (std::string(file) + ".pem");
  }
  for (const Served& served : report.record.served)
    json["served"].push_back({{"endpoint", served.endpoint},
                              {"address", served.address},
                              {"ok", served.ok},
                              {"checked", format_rfc3339(served.checked)},
                              {"detail", served.detail}});
  if (const RenewalAdvice* advice = report.advice()) {
    const std::optional<Window>& window = advice->window;
    json["renewal_info"] = {{"start", window ? nlohmann::json(format_rfc3339(window->start)) : nullptr},
                            {"end", window ? nlohmann::json(format_rfc3339(window->end)) : nullptr},
                            {"explanation_url", text_or_null(advice->explanation_url)},
                            {"next_check", time_or_null(advice->next_check)}};
  }
  for (const auto& [url, standing] : report.record.servers)
    if (standing != Standing())
      json["servers"].push_back({{"server", report.name_of(url)},
                                 {"ladder_step", standing.step},
                                 {"next_attempt", time_or_null(standing.next_attempt)},
                                 {"retry_after", time_or_null(standing.not_before)},
                                 {"turn", time_or_null(standing.turn)}});
  return json;
}

std::string in_words(const Report& report, TimePoint now) {
  if (report.state == "missing") return "no certificate yet";
  const auto [begin, end] = report.leaf->validity();
  if (begin > now) return "not valid before " + format_rfc3339(begin) + ": is the clock right?";
  if (report.state == "expired") return "EXPIRED " + describe(now - end) + " ago";
  const std::string until = "until " + format_rfc3339(end) + " (" + describe(end - now) + ")";
  return report.state == "placeholder" ? "self-signed placeholder " + until : "valid " + until;
}

void print(const Report& report, TimePoint now) {
  const Record& record = report.record;
  std::cout << report.name << "  " << in_words(report, now) << "\n";
  const auto line = [](std::string_view label, const std::string& text) {
    std::cout << "  " << label << std::string(9 - label.size(), ' ') << text << "\n";
  };
  if (!report.domains.empty()) line("names", join(report.domains));
  if (!report.server.empty()) line("server", report.server);
  if (report.leaf) {
    const std::optional<KeyType> type = report.leaf->key_type();
    line("issuer", printable(report.leaf->issuer()) + (type ? ", key " + std::string(to_string(*type)) : ""));
    line("files", report.folder.string());
  }
  for (const Served& served : record.served)
    line("served", served.endpoint + " (" + served.address + ") " + (served.ok ? "yes" : "NO: " + served.detail) +
                       ", looked at " + format_rfc3339(served.checked));
  if (!record.deploy.ok && !record.deploy.last_error.empty()) {
    line("deploy", record.deploy.last_error);
    if (record.deploy.next_attempt) line("", "looking again at " + format_rfc3339(*record.deploy.next_attempt));
  }
  if (record.failures > 0) line("failed", record.last_error + " (" + std::to_string(record.failures) + " in a row)");
  for (const auto& [url, standing] : record.servers) {
    if (standing.not_before && *standing.not_before > now)
      line("waits", "until " + format_rfc3339(*standing.not_before) + ", as " + report.name_of(url) + " has asked");
    if (standing.turn && *standing.turn > now)
      line("waits", "until " + format_rfc3339(*standing.turn) + " for its turn within the rate limits of " +
                        report.name_of(url));
  }
  if (!record.next_attempt) return;
  const RenewalAdvice* advice = record.reason == Reason::ari ? report.advice() : nullptr;
  line(report.overdue ? "OVERDUE" : "next",
       format_rfc3339(*record.next_attempt) + " (" + std::string(to_string(record.reason)) +
           (advice != nullptr && advice->window ? ": the server suggests " + format_rfc3339(advice->window->start) +
                                                      " to " + format_rfc3339(advice->window->end)
                                                : "") +
           ")" + (report.overdue ? ": does an agent run?" : ""));
  if (advice != nullptr && !advice->explanation_url.empty()) line("", "explained at " + advice->explanation_url);
}

}  // namespace

int status(const CommandLine& command_line, const Environment& environment) {
  const Configuration configuration = load_configuration(command_line, environment);
  const StateFolder state(configuration.state_dir);
  const TimePoint now = SystemClock().now();

  std::map<std::string, const CertificateSettings*> wanted;
  if (configuration.certificates.empty() || !command_line.arguments.empty())
    for (const std::string& name : state.names()) wanted[name] = nullptr;  // an agent with --domain needs no file
  for (const CertificateSettings& settings : configuration.certificates) wanted[settings.name] = &settings;
  for (const std::string& name : command_line.arguments)
    if (!wanted.contains(name))
      throw Error(Remedy::ask_operator, "there is no certificate named '" + name + "' in " + state.path().string() +
                                            ": 'acme-agent status' lists them");
  if (!command_line.arguments.empty())
    std::erase_if(wanted, [&](const auto& entry) {
      return std::find(command_line.arguments.begin(), command_line.arguments.end(), entry.first) ==
             command_line.arguments.end();
    });

  std::vector<Report> reports;
  for (const auto& [name, settings] : wanted) reports.push_back(report_on(name, settings, state, now));
  std::sort(reports.begin(), reports.end(),
            [](const Report& left, const Report& right) { return rank(left) < rank(right); });

  if (command_line.json) {
    nlohmann::json all{{"version", ACME_AGENT_VERSION}, {"certificates", nlohmann::json::array()}};
    for (const Report& report : reports) all["certificates"].push_back(to_json(report));
    std::cout << all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  } else if (reports.empty()) {
    std::cout << "no certificates yet in " << state.path().string()
              << "\nstart with: acme-agent --domain NAME   ('acme-agent help' shows more)\n";
  } else {
    for (const Report& report : reports) print(report, now);
  }

  int worst = exit_ok;
  for (const Report& report : reports)
    worst = report.exit_code() == 1 || worst == 1 ? 1 : std::max(worst, report.exit_code());
  return worst;
}

}  // namespace acme_agent
