#include <algorithm>
#include <array>
#include <utility>

#include <acme_agent/alert/trouble.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr std::array<std::string_view, 6> names = {"none", "not-served", "late", "soon", "missing", "expired"};
constexpr Duration three_days = 72h;
constexpr Duration patience_with_broker = 1h;
constexpr Duration patience_with_first = 24h;
constexpr Duration rest_between_reminders = 24h;
constexpr std::size_t most_in_text = 10;
constexpr std::size_t most_items = 1000;

std::string fingerprint_of(const Report& report) {
  return report.held ? report.leaf->fingerprint_sha256 : "";
}

bool has_lasted(const std::optional<TimePoint>& since, Duration patience, TimePoint now) {
  return since && *since + patience <= now;
}

/// Nobody has brought a new one although its time had come; an attempt that is under way may end well.
bool in_vain(const Report& report, TimePoint now) {
  const Duration grace = std::min<Duration>(1h, report.leaf->validity.lifetime() / 20);
  return report.failures > 0 || !report.next_attempt || *report.next_attempt + grace <= now;
}

/// The beginning of what is over: a clock that was set back must not make it last for ever.
std::optional<TimePoint> since(const std::optional<TimePoint>& before, bool lasts, TimePoint now) {
  if (!lasts) return std::nullopt;
  return before && *before <= now ? before : now;
}

bool is_missing(const Report& report) {
  return report.state == "missing" || report.state == "placeholder";
}

std::string failure_of(const Report& report) {
  const std::string& why = !report.last_error.empty() ? report.last_error : report.deployment_error;
  return why.empty() ? "" : ": " + printable(why, 250);
}

std::string in_words(const Report& report, Trouble trouble, TimePoint now) {
  const std::string name = printable(report.name, 253);
  if (trouble == Trouble::missing) return name + " has had no certificate for a day" + failure_of(report);
  const std::optional<Report::Leaf>& leaf = report.leaf;
  if (!leaf) return name + " is good again";
  const TimePoint end = leaf->validity.not_after;
  const std::string when = " (" + format_rfc3339(end) + ")";
  switch (trouble) {
    case Trouble::not_served:
      return name + " is not served by the broker" +
             (report.deployment_error.empty() ? "" : ": " + printable(report.deployment_error, 250));
    case Trouble::late:
      if (!report.stands_in_for.empty())
        return name + " is of our own authority, which clients need not know, as " + report.stands_in_for +
               " has not issued one" + failure_of(report);
      return name + " should be renewed by now and ends in " + describe(end - now) + when + failure_of(report);
    case Trouble::soon:
      return name + " ends in " + describe(end - now) + when + " and is not renewed" + failure_of(report);
    case Trouble::expired:
      return name + " ended " + describe(now - end) + " ago" + when + failure_of(report);
    default:
      return name + " is good again, valid until " + format_rfc3339(end);
  }
}

std::string title_of(const std::vector<Alert::Item>& items, std::size_t all, std::size_t bad, const std::string& host) {
  const std::string from = "acme-agent on " + printable(host, 64) + ": ";
  if (all == 1) {
    constexpr std::array<std::string_view, 6> words = {"is good again", "is not served",      "is late to be renewed",
                                                       "ends soon",     "has no certificate", "has ended"};
    return from + items.front().certificate + " " +
           std::string(words.at(static_cast<std::size_t>(items.front().trouble)));
  }
  if (bad == 0) return from + std::to_string(all) + " certificates are good again";
  return from + std::to_string(bad) + (bad == 1 ? " certificate needs" : " certificates need") + " attention";
}

}  // namespace

std::string_view to_string(Trouble trouble) {
  return names.at(static_cast<std::size_t>(trouble));
}

std::optional<Trouble> parse_trouble(std::string_view text) {
  const auto* const found = std::find(names.begin(), names.end(), text);
  if (found == names.end()) return std::nullopt;
  return static_cast<Trouble>(found - names.begin());
}

Lasting observe(const Lasting& before, const Report& report, TimePoint now) {
  return {since(before.not_served, report.urgency == Urgency::not_served || (report.held && !report.deployed), now),
          since(before.missing, is_missing(report), now)};
}

Trouble trouble_of(const Report& report, const Lasting& lasting, TimePoint now) {
  if (report.state == "expired") return Trouble::expired;
  if (is_missing(report))
    return has_lasted(lasting.missing, patience_with_first, now) ? Trouble::missing : Trouble::none;
  const Validity& validity = report.leaf->validity;
  const TimePoint end = validity.not_after;
  if (in_vain(report, now)) {
    if (end - std::min<Duration>(three_days, validity.lifetime() / 10) <= now) return Trouble::soon;
    const TimePoint due = std::max(report.renewal ? report.renewal->start : end, validity.not_before);
    if (due + (end - due) * 2 / 3 <= now) return Trouble::late;
  }
  if (!report.stands_in_for.empty()) return Trouble::late;
  return has_lasted(lasting.not_served, patience_with_broker, now) ? Trouble::not_served : Trouble::none;
}

bool is_news(const Told& told, const Report& report, Trouble trouble, TimePoint now) {
  if (trouble == told.trouble) return told.fingerprint != fingerprint_of(report) && trouble >= Trouble::late;
  const bool of_same = told.fingerprint == fingerprint_of(report);
  if (of_same && trouble < told.trouble && told.trouble >= Trouble::late) return false;  // only a new one mends that
  if (trouble == Trouble::not_served && told.not_served && *told.not_served <= now)
    return *told.not_served + rest_between_reminders <= now;
  return true;
}

Told after_telling(const Told& told, const Report& report, Trouble trouble, TimePoint now) {
  return {trouble, fingerprint_of(report), trouble == Trouble::not_served ? std::optional(now) : told.not_served};
}

Alert alert_of(const std::vector<News>& news, const std::string& host, TimePoint now) {
  std::vector<News> sorted = news;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const News& left, const News& right) { return left.trouble > right.trouble; });
  Alert alert;
  std::size_t bad = 0;
  for (const auto& [report, trouble] : sorted) {
    alert.worst = std::max(alert.worst, trouble);
    if (trouble != Trouble::none) ++bad;
    if (alert.items.size() == most_items) continue;
    alert.items.push_back({printable(report->name, 253), trouble, in_words(*report, trouble, now)});
    if (alert.items.size() <= most_in_text) alert.text += (alert.text.empty() ? "" : "\n") + alert.items.back().text;
  }
  constexpr std::size_t most_text = 3500;
  alert.text = alert.text.size() <= most_text ? alert.text : alert.text.substr(0, alert.text.rfind('\n', most_text));
  const auto told = static_cast<std::size_t>(std::count(alert.text.begin(), alert.text.end(), '\n')) + 1;
  if (sorted.size() > told) alert.text += "\nand " + std::to_string(sorted.size() - told) + " more";
  alert.title = title_of(alert.items, sorted.size(), bad, host);
  return alert;
}

}  // namespace acme_agent
