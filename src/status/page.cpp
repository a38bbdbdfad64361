#include <algorithm>
#include <array>
#include <cstdio>

#include <acme_agent/base/base64url.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/digest.hpp>
#include <acme_agent/status/faces.hpp>

namespace acme_agent {
namespace {

constexpr std::size_t most_shown = 300;

constexpr std::string_view style = R"css(
:root{color-scheme:light dark;--paper:#fbfbfa;--card:#fff;--ink:#1c1e21;--soft:#62676e;--line:#e4e4e0;--track:#ececea;
--lived:#b9bdc3;--accent:#3457d5;--good:#1a7f4b;--warn:#9a6200;--bad:#c0272d}
@media(prefers-color-scheme:dark){:root{--paper:#141517;--card:#1c1e21;--ink:#e9eaec;--soft:#9ba1a9;--line:#2d3035;
--track:#2a2d32;--lived:#565c65;--accent:#8aa2ff;--good:#56c98c;--warn:#e3ab4f;--bad:#ff7b7b}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}
main{max-width:52rem;margin:0 auto;padding:2.5rem 1.25rem 3rem}
header p{margin:.35rem 0 0;color:var(--soft);font-size:.9rem}
.brand{margin:0 0 .5rem;font-size:.8rem;letter-spacing:.06em;color:var(--soft)}
h1{margin:0;font-size:1.75rem;line-height:1.2;font-weight:650;letter-spacing:-.015em}
article{margin-top:1rem;padding:1.1rem 1.25rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem}
header+article{margin-top:1.75rem}
.top{display:flex;flex-wrap:wrap;gap:.25rem .9rem;justify-content:space-between;align-items:baseline}
h2{margin:0;font-size:1.08rem;font-weight:620;overflow-wrap:anywhere}
.state{display:inline-flex;align-items:center;gap:.45rem;font-size:.85rem;font-weight:600;white-space:nowrap}
.state::before{content:"";width:.6rem;height:.6rem;border-radius:50%;background:currentColor}
.good .state{color:var(--good)}.warn .state{color:var(--warn)}.bad .state{color:var(--bad)}
.bad .state::before{border-radius:1px;transform:rotate(45deg) scale(.9)}.warn .state::before{border-radius:1px}
.say{margin:.2rem 0 0;color:var(--soft);font-size:.93rem;overflow-wrap:anywhere}
.trouble{margin:.6rem 0 0;padding:.1rem 0 .1rem .7rem;border-left:3px solid var(--bad);font-size:.93rem;
overflow-wrap:anywhere}
.warn .trouble{border-color:var(--warn)}
svg{display:block;width:100%;height:30px;margin-top:.8rem;overflow:visible}
.track{fill:var(--track)}.lived{fill:var(--lived)}.window{fill:var(--accent)}.now{fill:var(--ink)}
.tick{fill:var(--soft)}.failed{fill:var(--bad)}
.ends{display:flex;justify-content:space-between;gap:1rem;color:var(--soft);font-size:.8rem}
details{margin-top:.6rem;font-size:.9rem}
summary{color:var(--soft);cursor:pointer;width:max-content}
summary:focus-visible{outline:2px solid var(--accent);outline-offset:3px;border-radius:3px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:.6rem 0 0}
dt{color:var(--soft)}dd{margin:0;min-width:0;overflow-wrap:anywhere}
.code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.82em}
footer{margin-top:1.75rem;color:var(--soft);font-size:.82rem}
footer p{margin:.4rem 0}
.key{display:inline-flex;align-items:center;gap:.4rem;margin-right:1rem;white-space:nowrap}
.key svg{width:14px;height:10px;margin:0}
a{color:var(--accent)}
@media(max-width:30rem){main{padding:1.5rem 1rem 2rem}h1{font-size:1.45rem}article{padding:1rem}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.45rem}}
)css";

std::string escaped(std::string_view text) {
  std::string html;
  for (const char c : printable(text, 1000)) {
    if (c == '&')
      html += "&amp;";
    else if (c == '<')
      html += "&lt;";
    else if (c == '>')
      html += "&gt;";
    else if (c == '"')
      html += "&quot;";
    else if (c == '\'')
      html += "&#39;";
    else
      html += c;
  }
  return html;
}

/// "10 Feb 2027", behind it "12:00" where a minute counts.
std::string day_of(TimePoint time, bool with_minute = false) {
  constexpr std::array<const char*, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const unsigned month = static_cast<unsigned>(date.month());
  std::string text = std::to_string(static_cast<unsigned>(date.day())) + " " + months.at(month - 1) + " " +
                     std::to_string(static_cast<int>(date.year()));
  if (with_minute) text += ", " + format_rfc3339(time).substr(11, 5);
  return "<time datetime=\"" + format_rfc3339(time) + "\">" + text + "</time>";
}

struct Tone {
  const char* name;
  const char* word;
};

Tone tone_of(const Report& report) {
  switch (report.urgency) {
    case Urgency::expired:
      return {"bad", "expired"};
    case Urgency::missing:
      return {"bad", "missing"};
    case Urgency::placeholder:
      return {"bad", "placeholder"};
    case Urgency::failing:
      return report.failures > 0 ? Tone{"warn", "failing"}
             : report.overdue    ? Tone{"warn", "overdue"}
                                 : Tone{"warn", "not in date"};
    case Urgency::not_served:
      return {"warn", "not served"};
    default:
      return {"good", "good"};
  }
}

std::string in_words(const Report& report, TimePoint now) {
  if (report.state == "missing") return "There is no certificate yet.";
  const auto [begin, end] = report.leaf->validity;
  if (begin > now) return "Not valid before " + day_of(begin, true) + ": is the clock right?";
  if (end <= now) return "Ended " + describe(now - end) + " ago, on " + day_of(end, true) + ".";
  std::string words = report.state == "placeholder" ? "A self-signed stand-in until the first certificate is here."
                                                    : "Valid for " + describe(end - now) + ".";
  if (report.next_attempt && !report.overdue)
    words += (report.failures > 0 ? " Next try in " : " Renewed in ") + describe(*report.next_attempt - now) + ".";
  if (report.overdue) words += " Its time has come and nobody works on it: does an agent run?";
  return words;
}

std::string troubles(const Report& report) {
  std::string html;
  const auto tell = [&html](const std::string& text) { html += "<p class=\"trouble\">" + escaped(text) + "</p>\n"; };
  if (report.failures > 0)
    tell(report.last_error +
         (report.failures > 1 ? " (failed " + std::to_string(report.failures) + " times in a row)" : ""));
  if (!report.deployed && !report.deployment_error.empty()) tell(report.deployment_error);
  return html;
}

/// Moments as shares of a line that begins and ends with the lifetime, or now where that is later.
class TimeLine {
 public:
  TimeLine(const Validity& validity, TimePoint now)
      : begin_(std::min(validity.not_before, now)), end_(std::max(validity.not_after, now)) {}

  std::string at(TimePoint time) const { return percent(share(time)); }
  std::string between(TimePoint from, TimePoint to) const { return percent(std::max(0.0, share(to) - share(from))); }

 private:
  double share(TimePoint time) const {
    const auto whole = static_cast<double>((end_ - begin_).count());
    if (whole <= 0) return 0;
    return std::clamp(static_cast<double>((time - begin_).count()) / whole, 0.0, 1.0) * 100;
  }
  static std::string percent(double share) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.2f%%", share);
    return text.data();
  }

  TimePoint begin_;
  TimePoint end_;
};

std::string rectangle(const char* kind, const std::string& x, const std::string& width, int y, int height, int round) {
  return "<rect class=\"" + std::string(kind) + "\" x=\"" + x + "\" y=\"" + std::to_string(y) + "\" width=\"" + width +
         "\" height=\"" + std::to_string(height) + "\" rx=\"" + std::to_string(round) + "\"/>";
}

std::string drawn(const Report& report, TimePoint now) {
  if (!report.leaf) return "";
  const Validity& validity = report.leaf->validity;
  const TimeLine line(validity, now);
  const std::string begin = line.at(validity.not_before);
  std::string label =
      "Lifetime from " + format_rfc3339(validity.not_before) + " to " + format_rfc3339(validity.not_after);
  if (report.renewal)
    label += ", to be renewed between " + format_rfc3339(report.renewal->start) + " and " +
             format_rfc3339(report.renewal->end);
  std::string svg =
      "<svg role=\"img\" aria-label=\"" + escaped(label) + "\"><title>" + escaped(label) + "</title>" +
      rectangle("track", begin, line.between(validity.not_before, validity.not_after), 8, 10, 5) +
      rectangle("lived", begin, line.between(validity.not_before, std::min(now, validity.not_after)), 8, 10, 5);
  if (report.renewal)
    svg += rectangle("window", line.at(report.renewal->start), line.between(report.renewal->start, report.renewal->end),
                     8, 10, 2);
  const auto dot = [&](const char* kind, TimePoint time) {
    if (time >= validity.not_before)
      svg += "<circle class=\"" + std::string(kind) + "\" cx=\"" + line.at(time) + "\" cy=\"25\" r=\"3\"/>";
  };
  for (const Served& served : report.served) dot(served.ok ? "tick" : "failed", served.checked);
  if (report.last_attempt) dot(report.failures > 0 ? "failed" : "tick", *report.last_attempt);
  svg += "<svg class=\"at\" x=\"" + line.at(now) + "\" y=\"0\">" + rectangle("now", "-1", "2", 3, 20, 1) +
         "</svg></svg>\n";
  return svg + "<div class=\"ends\"><span>" + day_of(validity.not_before) + "</span><span>" +
         day_of(validity.not_after) + "</span></div>\n";
}

std::string details(const Report& report) {
  std::string rows;
  const auto row = [&rows](const char* what, const std::string& html) {
    rows += std::string("<dt>") + what + "</dt><dd>" + html + "</dd>\n";
  };
  const auto moment = [](TimePoint time) { return day_of(time, true); };
  if (!report.domains.empty()) row("Names", escaped(join(report.domains)));
  const std::string& missed = report.stands_in_for;
  if (!report.server.empty())
    row("Server", escaped(report.server + (missed.empty() ? "" : ", standing in for " + missed)));
  if (report.leaf) {
    const std::optional<KeyType>& type = report.leaf->key_type;
    row("Issuer", escaped(report.leaf->issuer + (type ? ", key " + std::string(to_string(*type)) : "")));
    row("Valid", moment(report.leaf->validity.not_before) + " to " + moment(report.leaf->validity.not_after));
  }
  if (report.renewal)
    row("Renewal", moment(report.renewal->start) + " to " + moment(report.renewal->end) +
                       (report.advice && report.advice->window ? ", as the server advises" : ", by our plan"));
  if (report.advice && report.advice->explanation_url.starts_with("https://")) {
    const std::string url = escaped(report.advice->explanation_url);
    row("Explained", "<a rel=\"noreferrer noopener\" href=\"" + url + "\">" + url + "</a>");
  }
  if (report.last_attempt)
    row("Last attempt", moment(*report.last_attempt) + (report.failures > 0 ? ", failed" : ", done"));
  if (report.next_attempt)
    row("Next attempt", moment(*report.next_attempt) + " (" + std::string(to_string(report.reason)) + ")");
  for (const Served& served : report.served)
    row("Listener", escaped(served.endpoint + " (" + served.address + ")") +
                        (served.ok ? " serves it" : " does not serve it: " + escaped(served.detail)) + ", looked at " +
                        moment(served.checked));
  for (const auto& [server, standing] : report.servers) {
    if (standing.not_before)
      row("Waits", "until " + moment(*standing.not_before) + ", as " + escaped(server) + " asked");
    if (standing.turn)
      row("Waits", "until " + moment(*standing.turn) + " for its turn within the limits of " + escaped(server));
  }
  row("Files", "<span class=\"code\">" + escaped(report.folder.native()) + "</span>");
  if (report.leaf) row("SHA-256", "<span class=\"code\">" + escaped(report.leaf->fingerprint_sha256) + "</span>");
  return "<details><summary>Details</summary>\n<dl>\n" + rows + "</dl></details>\n";
}

std::string article(const Report& report, TimePoint now) {
  const Tone tone = tone_of(report);
  return "<article class=\"" + std::string(tone.name) + "\">\n<div class=\"top\"><h2>" + escaped(report.name) +
         "</h2><span class=\"state\">" + tone.word + "</span></div>\n<p class=\"say\">" + in_words(report, now) +
         "</p>\n" + troubles(report) + drawn(report, now) + details(report) + "</article>\n";
}

std::size_t not_good(const Reports& reports) {
  return static_cast<std::size_t>(std::count_if(reports.certificates.begin(), reports.certificates.end(),
                                                [](const Report& report) { return report.exit_code() != 0; }));
}

std::string summary(const Reports& reports) {
  const std::size_t all = reports.certificates.size();
  const std::size_t bad = not_good(reports);
  if (all == 0) return "No certificates yet";
  if (bad == 0) return all == 1 ? "The certificate is good" : "All " + std::to_string(all) + " certificates are good";
  if (all == 1) return "The certificate needs attention";
  return std::to_string(bad) + " of " + std::to_string(all) + " certificates " + (bad == 1 ? "needs" : "need") +
         " attention";
}

std::string key(const char* kind, const char* words, bool round = false) {
  return std::string("<span class=\"key\"><svg aria-hidden=\"true\">") +
         (round ? "<circle class=\"" + std::string(kind) + "\" cx=\"7\" cy=\"5\" r=\"3\"/>"
                : rectangle(kind, "0", "14", 0, 10, 3)) +
         "</svg>" + words + "</span>";
}

}  // namespace

std::string as_health(const Reports& reports) {
  const std::size_t bad = not_good(reports);
  if (bad == 0) return "ok\n";
  const Report& worst = reports.certificates.front();
  return std::to_string(bad) + " of " + std::to_string(reports.certificates.size()) +
         " not good: " + printable(worst.name) + " is " + tone_of(worst).word + "\n";
}

std::string as_page(const Reports& reports) {
  const std::size_t all = reports.certificates.size();
  const std::size_t shown = std::min(all, most_shown);
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"refresh\" content=\"60\">\n<meta name=\"robots\" content=\"noindex\">\n<title>" +
      summary(reports) + " · acme-agent</title>\n<style>" + std::string(style) +
      "</style>\n</head>\n<body>\n<main>\n<header>\n<p class=\"brand\">acme-agent</p>\n<h1>" + summary(reports) +
      "</h1>\n<p>" + day_of(reports.now, true) + " UTC</p>\n</header>\n";
  for (std::size_t i = 0; i < shown; ++i) html += article(reports.certificates[i], reports.now);
  html += "<footer>\n";
  if (shown < all)
    html += "<p>The " + std::to_string(shown) + " most urgent of " + std::to_string(all) +
            " are shown; <a href=\"status.json\">status.json</a> has all of them.</p>\n";
  if (shown > 0)
    html += "<p>" + key("lived", "time lived") + key("window", "to be renewed") +
            key("tick", "tried or looked at", true) + key("failed", "failed", true) + "</p>\n";
  return html + "<p>Times are in UTC; the page renews itself every minute. acme-agent " + escaped(reports.version) +
         " · <a href=\"status.json\">status.json</a> · <a href=\"metrics\">metrics</a> · "
         "<a href=\"healthz\">healthz</a></p>\n</footer>\n</main>\n</body>\n</html>\n";
}

std::string policy_of_page() {
  static const std::string hash = base64url_encode(sha256(style)) + "=";
  return "default-src 'none'; style-src 'sha256-" + hash +
         "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
}

}  // namespace acme_agent
