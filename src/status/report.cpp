#include <algorithm>
#include <tuple>
#include <utility>

#include <acme_agent/agent/planner.hpp>
#include <acme_agent/base/local_server.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/deployer.hpp>
#include <acme_agent/status/report.hpp>
#include <acme_agent/sys/generations.hpp>

namespace acme_agent {
namespace {

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

std::optional<CertificateChain> deployed_chain(const std::filesystem::path& folder) {
  DeploymentTarget target;
  target.folder = folder.native();
  try {
    std::optional<CertifiedKey> deployed = Deployer::deployed(target);
    if (!deployed) return std::nullopt;
    return std::move(deployed->chain);
  } catch (const Error&) {  // it may not be read: the deployment says so, and the others are shown all the same
    return std::nullopt;
  }
}

Report::Leaf leaf_of(const Certificate& leaf) {
  return {leaf.validity(), leaf.serial(), leaf.fingerprint_sha256(),
          leaf.key_type(), leaf.issuer(), leaf.placeholder()};
}

std::string state_of(const Report& report, TimePoint now) {
  if (!report.leaf) return "missing";
  if (report.leaf->validity.not_after <= now) return "expired";
  return !report.held && report.leaf->placeholder ? "placeholder" : "valid";
}

Urgency urgency_of(const Report& report, TimePoint now) {
  if (report.state == "expired") return Urgency::expired;
  if (report.state == "missing") return Urgency::missing;
  if (report.state == "placeholder") return Urgency::placeholder;
  const bool in_date = report.leaf->validity.contains(now);
  if (!report.held || !in_date || report.failures > 0 || report.overdue || !report.stands_in_for.empty())
    return Urgency::failing;
  return report.deployed ? Urgency::good : Urgency::not_served;
}

std::optional<Window> renewal_of(const Report& report) {
  if (!report.held) return std::nullopt;
  if (report.advice && report.advice->window) return report.advice->window;
  const Validity& validity = report.leaf->validity;
  const TimePoint planned = plan_renewal(validity, spread_of(report.name));
  return Window{planned, std::max(planned, latest_renewal(validity))};
}

/// Sorts the most urgent first.
auto rank(const Report& report) {
  const bool has_end = report.leaf && report.urgency != Urgency::good;
  const std::optional<TimePoint> moment =
      has_end ? std::optional(report.leaf->validity.not_after) : report.next_attempt;
  return std::tuple<Urgency, TimePoint, const std::string&>(report.urgency, moment.value_or(TimePoint::max()),
                                                            report.name);
}

}  // namespace

Report report_on(const Subject& subject, const StateFolder& state_folder, TimePoint now) {
  const CertificateState state = state_folder.certificate(subject.name);
  const Record record = state.peek_record();
  const auto name_of = [&subject](const std::string& url) {
    const auto known = subject.server_names.find(url);
    return known == subject.server_names.end() ? url : known->second;
  };

  Report report;
  report.name = subject.name;
  report.folder = !subject.folder.empty()   ? subject.folder
                  : record.cert_dir.empty() ? state_folder.live(subject.name)
                                            : record.cert_dir;
  std::optional<HeldChain> held = held_chain(state, record);
  report.held = held.has_value();
  if (const std::optional<CertificateChain> chain =
          held ? std::optional(std::move(held->chain)) : deployed_chain(report.folder)) {
    report.leaf = leaf_of(chain->leaf());
    report.chain_top = chain->top();
    if (subject.domains.empty())
      for (const Identifier& identifier : chain->leaf().identifiers())
        report.domains.push_back(printable(identifier.value));
  }
  if (!subject.domains.empty()) report.domains = subject.domains;
  report.server = held && !held->server.empty() ? name_of(held->server) : subject.first_server;
  if (report.server == local_server && subject.first_server != local_server)
    report.stands_in_for = subject.first_server;

  report.next_attempt = record.next_attempt;
  report.reason = record.reason;
  report.last_attempt = record.last_attempt;
  report.last_error = record.last_error;
  report.failures = record.failures;
  report.overdue = report.held && (!record.next_attempt || *record.next_attempt <= now);
  report.deployed = record.deploy.ok;
  report.next_deployment = record.deploy.next_attempt;
  report.deployment_error = record.deploy.last_error;
  report.served = record.served;
  if (record.held && !record.advice.id.empty() && record.advice.id == record.held->renewal_info_id)
    report.advice = Report::Advice{record.advice.window, record.advice.explanation_url, record.advice.next_check};
  for (const auto& [url, standing] : record.servers)
    if (standing != Standing()) report.servers.push_back({name_of(url), standing});

  report.renewal = renewal_of(report);
  report.state = state_of(report, now);
  report.urgency = urgency_of(report, now);
  return report;
}

int Reports::exit_code() const {
  int worst = 0;
  for (const Report& report : certificates) {
    if (report.exit_code() == 1) return 1;
    worst = std::max(worst, report.exit_code());
  }
  return worst;
}

Reports report_on(const std::vector<Subject>& subjects, const StateFolder& state, std::string version, TimePoint now) {
  Reports reports{std::move(version), now, {}};
  reports.certificates.reserve(subjects.size());
  for (const Subject& subject : subjects) reports.certificates.push_back(report_on(subject, state, now));
  std::sort(reports.certificates.begin(), reports.certificates.end(),
            [](const Report& left, const Report& right) { return rank(left) < rank(right); });
  return reports;
}

}  // namespace acme_agent
