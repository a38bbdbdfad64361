#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/status/faces.hpp>

namespace acme_agent {
namespace {

std::string in_words(const Report& report, TimePoint now) {
  if (report.state == "missing") return "no certificate yet";
  const auto [begin, end] = report.leaf->validity;
  if (begin > now) return "not valid before " + format_rfc3339(begin) + ": is the clock right?";
  if (report.state == "expired") return "EXPIRED " + describe(now - end) + " ago";
  const std::string until = "until " + format_rfc3339(end) + " (" + describe(end - now) + ")";
  return report.state == "placeholder" ? "self-signed placeholder " + until : "valid " + until;
}

std::string line(std::string_view label, const std::string& text) {
  return "  " + std::string(label) + std::string(9 - label.size(), ' ') + text + "\n";
}

std::string next_line(const Report& report) {
  const Report::Advice* advice = report.reason == Reason::ari && report.advice ? &*report.advice : nullptr;
  std::string lines =
      line(report.overdue ? "OVERDUE" : "next",
           format_rfc3339(*report.next_attempt) + " (" + std::string(to_string(report.reason)) +
               (advice != nullptr && advice->window ? ": the server suggests " + format_rfc3339(advice->window->start) +
                                                          " to " + format_rfc3339(advice->window->end)
                                                    : "") +
               ")" + (report.overdue ? ": does an agent run?" : ""));
  if (advice != nullptr && !advice->explanation_url.empty())
    lines += line("", "explained at " + advice->explanation_url);
  return lines;
}

std::string in_lines(const Report& report, TimePoint now) {
  std::string lines = report.name + "  " + in_words(report, now) + "\n";
  if (!report.domains.empty()) lines += line("names", join(report.domains));
  if (!report.stands_in_for.empty())
    lines += line("server", report.server + ", STANDING IN for " + report.stands_in_for +
                                ": clients refuse it unless they know its root");
  else if (!report.server.empty())
    lines += line("server", report.server);
  if (report.leaf) {
    const std::optional<KeyType>& type = report.leaf->key_type;
    lines += line("issuer", printable(report.leaf->issuer) + (type ? ", key " + std::string(to_string(*type)) : ""));
    lines += line("files", report.folder.string());
  }
  for (const Served& served : report.served)
    lines +=
        line("served", served.endpoint + " (" + served.address + ") " + (served.ok ? "yes" : "NO: " + served.detail) +
                           ", looked at " + format_rfc3339(served.checked));
  if (!report.deployed && !report.deployment_error.empty()) {
    lines += line("deploy", report.deployment_error);
    if (report.next_deployment) lines += line("", "looking again at " + format_rfc3339(*report.next_deployment));
  }
  if (report.failures > 0)
    lines += line("failed", report.last_error + " (" + std::to_string(report.failures) + " in a row)");
  for (const auto& [server, standing] : report.servers) {
    if (standing.not_before && *standing.not_before > now)
      lines += line("waits", "until " + format_rfc3339(*standing.not_before) + ", as " + server + " has asked");
    if (standing.turn && *standing.turn > now)
      lines += line("waits",
                    "until " + format_rfc3339(*standing.turn) + " for its turn within the rate limits of " + server);
  }
  return report.next_attempt ? lines + next_line(report) : lines;
}

}  // namespace

std::string as_text(const Reports& reports) {
  std::string lines;
  for (const Report& report : reports.certificates) lines += in_lines(report, reports.now);
  return lines;
}

}  // namespace acme_agent
