#include <algorithm>
#include <array>

#include <acme_agent/acme/resources.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

/// The page where a paused account is taken up again has a long address.
constexpr std::size_t longest_detail = 2000;
/// A paused account stays so until somebody acts: asking more often only lengthens it.
constexpr Duration shortest_pause = std::chrono::hours(24);

/// What is known about a type of problem: what mends it, what it means, and what can be done about it.
struct Known {
  std::string_view type;
  Remedy remedy;
  std::string_view meaning;
  std::string_view advice;
};

constexpr std::string_view same_answer =
    "check that no other web server or proxy answers for this name on port 80, over IPv4 and over IPv6";

// RFC 8555 6.7
constexpr std::array known_problems = {
    Known{"connection", Remedy::retry, "the server could not connect to this machine",
          "check that port 80 is reachable from the internet and forwarded to this machine"},
    Known{"dns", Remedy::retry, "the server could not look up the name",
          "check that the name exists and that its A and AAAA records point to this machine"},
    Known{"tls", Remedy::retry, "the server could not speak TLS with this machine",
          "check which program answers on port 443 and whether port 80 redirects to it"},
    Known{"caa", Remedy::retry, "a CAA record of the domain forbids this server to issue",
          "change or remove the CAA record, or choose another --server"},
    Known{"unauthorized", Remedy::retry, "the server found a wrong answer, or does not let us do this", same_answer},
    Known{"incorrectResponse", Remedy::retry, "the server found a wrong answer to its challenge", same_answer},
    Known{"compound", Remedy::retry, "the server found several faults", ""},
    Known{"serverInternal", Remedy::retry, "the server has a fault of its own", ""},
    Known{"badNonce", Remedy::retry, "the server refuses every nonce that it gave us",
          "check whether a proxy in between stores answers"},
    Known{"orderNotReady", Remedy::retry, "the order is not ready to be finalized", ""},
    Known{"rateLimited", Remedy::wait, "a rate limit of the server is reached", ""},
    Known{"userActionRequired", Remedy::ask_operator, "the server wants somebody to act first",
          "read what it asks for, there"},
    Known{"externalAccountRequired", Remedy::ask_operator, "the server issues only to accounts that it knows already",
          "give --eab-kid and --eab-hmac-key-file"},
    Known{"rejectedIdentifier", Remedy::ask_operator, "the server does not issue for this name", "check --domain"},
    Known{"unsupportedIdentifier", Remedy::ask_operator, "the server does not issue for this kind of name",
          "check --domain or choose another --server"},
    Known{"invalidProfile", Remedy::ask_operator, "the server does not issue these names by this profile",
          "choose another --profile, or none"},
    Known{"unsupportedContact", Remedy::ask_operator, "the server does not take this contact", "check --email"},
    Known{"invalidContact", Remedy::ask_operator, "the server does not take this contact", "check --email"},
    Known{"badSignatureAlgorithm", Remedy::ask_operator, "the server does not take signatures of this kind of key",
          "choose another --server"},
    Known{"badPublicKey", Remedy::ask_operator, "the server does not take this kind of key",
          "choose another --key-type"},
    Known{"badCSR", Remedy::ask_operator, "the server does not take the certificate request",
          "check --domain and --key-type"},
    Known{"malformed", Remedy::ask_operator, "the server did not understand the request", "check --server"},
    Known{"accountDoesNotExist", Remedy::ask_operator, "the server does not know our account",
          "remove the account from the state folder, so that a new one is made"},
};

/// What can be done where a challenge has failed that does not come to port 80.
struct Advice {
  std::string_view challenge;
  std::string_view type;
  std::string_view advice;
};

constexpr std::string_view same_port =
    "check that port 443 leads to this machine, also with ALPN \"acme-tls/1\" and over IPv6";
constexpr std::string_view same_record =
    "check that every name server of the domain shows the TXT record before the server is told to look";

constexpr std::array advice_by_challenge = {
    Advice{"tls-alpn-01", "connection", same_port},
    Advice{"tls-alpn-01", "tls", same_port},
    Advice{"tls-alpn-01", "unauthorized", same_port},
    Advice{"tls-alpn-01", "incorrectResponse", same_port},
    Advice{"dns-01", "dns", same_record},
    Advice{"dns-01", "unauthorized", same_record},
    Advice{"dns-01", "incorrectResponse", same_record},
};

std::string_view advice_on(const Known& known, std::string_view challenge) {
  for (const Advice& one : advice_by_challenge)
    if (one.challenge == challenge && one.type == known.type) return one.advice;
  return known.advice;
}

const Known* find_known(std::string_view type) {
  for (const Known& known : known_problems) {
    if (known.type == type) return &known;
  }
  return nullptr;
}

/// `"detail" (type)`, whichever there is.
std::string quote(const std::string& type, const std::string& detail) {
  std::string text;
  if (!detail.empty()) text = '"' + printable(trim(detail), longest_detail) + '"';
  if (!type.empty()) text += (text.empty() ? "(" : " (") + printable(type, 100) + ')';
  return text;
}

/// Let's Encrypt says "…, retry after 2026-11-22 10:00:00 UTC: see https://…".
std::optional<TimePoint> moment_in_text(std::string_view text) {
  constexpr std::string_view lead = "retry after ";
  constexpr std::size_t date_length = std::string_view("2026-11-22 10:00:00").size();
  const std::size_t found = text.find(lead);
  if (found == std::string_view::npos) return std::nullopt;
  text.remove_prefix(found + lead.size());
  if (text.size() < date_length || !text.substr(date_length).starts_with(" UTC")) return std::nullopt;
  return parse_rfc3339(std::string(text.substr(0, date_length)) + 'Z');
}

std::optional<TimePoint> not_before(const Problem& problem, const std::optional<TimePoint>& retry_after,
                                    TimePoint now) {
  if (problem.paused()) return std::max(retry_after.value_or(now), now + shortest_pause);
  return retry_after || problem.type != "rateLimited" ? retry_after : moment_in_text(problem.detail);
}

Remedy remedy(const Problem& problem, const std::optional<TimePoint>& retry_after) {
  if (const Known* known = find_known(problem.type)) return known->remedy;
  return retry_after ? Remedy::wait : Remedy::retry;
}

std::string message(const Problem& problem, const std::optional<TimePoint>& moment) {
  return problem.sentence() + (moment ? "; not to be tried again before " + format_rfc3339(*moment) : "");
}

}  // namespace

bool Problem::paused() const {
  return type == "rateLimited" && (detail.find("/unpause") != std::string::npos ||
                                   detail.find("temporarily prevented from requesting") != std::string::npos);
}

std::string Problem::sentence(std::string_view challenge) const {
  const Known* known = find_known(type);
  if (paused())
    return "THE ACCOUNT IS PAUSED, and nothing is issued for these names until somebody visits the page named here: " +
           quote(type, detail);
  std::string text = known != nullptr ? std::string(known->meaning)
                     : server.empty() ? std::string("the server refused")
                                      : "the server at " + server + " refused";
  if (known == nullptr && status != 0) text += " with status " + std::to_string(status);
  if (const std::string said = quote(type, detail); !said.empty()) text += ": " + said;
  std::string parts;
  for (const Sub& sub : subproblems) {
    parts += "; " + (sub.identifier ? sub.identifier->value : std::string("without a name"));
    parts += ": " + quote(sub.type, sub.detail);
  }
  text += printable(parts, 2000);
  if (!instance.empty()) text += "; see " + printable(instance);

  // The cause of a compound problem is in its parts.
  if (known == nullptr || known->advice.empty()) known = subproblems.empty() ? known : find_known(subproblems[0].type);
  if (known != nullptr && !known->advice.empty()) text += "; " + std::string(advice_on(*known, challenge));
  return text;
}

ProblemError::ProblemError(Problem problem, std::optional<TimePoint> retry_after, TimePoint now)
    : Error(acme_agent::remedy(problem, retry_after),
            acme_agent::message(problem, acme_agent::not_before(problem, retry_after, now)),
            acme_agent::not_before(problem, retry_after, now)),
      problem_(std::move(problem)) {}

}  // namespace acme_agent
