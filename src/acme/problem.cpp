#include <algorithm>
#include <array>

#include <acme_agent/acme/resources.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

/// The page where a paused account is taken up again has a long address.
constexpr std::size_t longest_detail = 2000;

/// What is known about a type of problem: what mends it, what it means, and what can be done about it.
struct Known {
  std::string_view type;
  Remedy remedy;
  std::string_view meaning;
  std::string_view advice;
};

// RFC 8555 6.7, RFC 9773 7.4
constexpr std::array known_problems = {
    Known{"connection", Remedy::retry, "the server could not connect to this machine", ""},
    Known{"dns", Remedy::retry, "the server could not look up the name",
          "check that every name server of the domain answers"},
    Known{"tls", Remedy::retry, "the server could not speak TLS with this machine", ""},
    Known{"caa", Remedy::retry, "a CAA record of the domain forbids this server to issue",
          "change or remove the CAA record, or choose another --server"},
    Known{"unauthorized", Remedy::retry, "the server does not let us do this",
          "'acme-agent account show' tells whether the account is still good"},
    Known{"incorrectResponse", Remedy::retry, "the server found a wrong answer to its challenge", ""},
    Known{"compound", Remedy::retry, "the server found several faults", ""},
    Known{"serverInternal", Remedy::retry, "the server has a fault of its own",
          "there is nothing to be done here but to wait"},
    Known{"badNonce", Remedy::retry, "the server refuses every nonce that it gave us",
          "check whether a proxy in between stores answers"},
    Known{"orderNotReady", Remedy::retry, "the server does not find the order ready to be finalized",
          "the next try goes on with it"},
    Known{"alreadyReplaced", Remedy::retry, "the server has replaced that certificate already",
          "an order that replaces none may do"},
    Known{"rateLimited", Remedy::wait, "a rate limit of the server is reached", ""},
    Known{"userActionRequired", Remedy::ask_operator, "the server wants somebody to act first",
          "do what it asks for, then renew"},
    Known{"externalAccountRequired", Remedy::ask_operator, "the server issues only to accounts that it knows already",
          "give --eab-kid and --eab-hmac-key-file"},
    Known{"rejectedIdentifier", Remedy::ask_operator, "the server does not issue for this name",
          "leave the name out of --domain, or choose another --profile or --server"},
    Known{"unsupportedIdentifier", Remedy::ask_operator, "the server does not issue for this kind of name",
          "leave the name out of --domain, or choose another --profile or --server"},
    Known{"invalidProfile", Remedy::ask_operator, "the server does not issue these names by this profile",
          "choose another --profile, or none"},
    Known{"unsupportedContact", Remedy::ask_operator, "the server does not take this kind of contact",
          "leave --email out"},
    Known{"invalidContact", Remedy::ask_operator, "the server does not take this contact",
          "give another --email, or leave it out"},
    Known{"badSignatureAlgorithm", Remedy::ask_operator,
          "the server does not take signatures by the kind of key that the account has", "choose another --server"},
    Known{"badPublicKey", Remedy::ask_operator, "the server does not take this key",
          "choose another --key-type, or give another --key-file"},
    Known{"badCSR", Remedy::ask_operator, "the server does not take the certificate request",
          "check --domain and --key-type, and --csr if it is yours"},
    Known{"badRevocationReason", Remedy::ask_operator, "the server does not take this reason for a revocation",
          "give another --reason, or none"},
    Known{"alreadyRevoked", Remedy::ask_operator, "the server has revoked that certificate already",
          "there is nothing left to be done"},
    Known{"malformed", Remedy::ask_operator, "the server did not understand the request",
          "check --domain and --server"},
    Known{"accountDoesNotExist", Remedy::ask_operator, "the server does not know our account",
          "the next order makes a new one"},
};

/// RFC 9110 15.6.2: whatever the type says, the server cannot do this for anybody.
constexpr int not_implemented = 501;
constexpr Known not_offered{"", Remedy::ask_operator, "the server does not offer this", ""};

/// What can be done where a challenge has failed.
struct Advice {
  std::string_view challenge;
  std::string_view type;
  std::string_view advice;
};

constexpr std::string_view same_answer =
    "check that no other web server or proxy answers for this name on port 80, over IPv4 and over IPv6";
constexpr std::string_view same_addresses =
    "check that the name exists and that its A and AAAA records point to this machine";
constexpr std::string_view same_port =
    "check that port 443 leads to this machine, also with ALPN \"acme-tls/1\" and over IPv6";
constexpr std::string_view same_record =
    "check that every name server of the domain shows the TXT record before the server is told to look";
constexpr std::string_view lasting_record =
    "check that every name server of the domain shows the TXT record that was printed for it";

constexpr std::array advice_by_challenge = {
    Advice{"http-01", "connection", "check that port 80 is reachable from the internet and forwarded to this machine"},
    Advice{"http-01", "dns", same_addresses},
    Advice{"http-01", "tls", "check which program answers on port 443 and whether port 80 redirects to it"},
    Advice{"http-01", "unauthorized", same_answer},
    Advice{"http-01", "incorrectResponse", same_answer},
    Advice{"tls-alpn-01", "connection", same_port},
    Advice{"tls-alpn-01", "dns", same_addresses},
    Advice{"tls-alpn-01", "tls", same_port},
    Advice{"tls-alpn-01", "unauthorized", same_port},
    Advice{"tls-alpn-01", "incorrectResponse", same_port},
    Advice{"dns-01", "dns", same_record},
    Advice{"dns-01", "unauthorized", same_record},
    Advice{"dns-01", "incorrectResponse", same_record},
    Advice{"dns-persist-01", "dns", lasting_record},
    Advice{"dns-persist-01", "unauthorized", lasting_record},
    Advice{"dns-persist-01", "incorrectResponse", lasting_record},
};

/// Let's Encrypt names in its text which of its limits is reached.
struct Limit {
  std::string_view part_of_detail;
  std::string_view advice;
};

constexpr std::array known_limits = {
    Limit{"exact set of",
          "find out what else orders the same names: another machine, or one that loses its state folder"},
    Limit{"failed authorizations", "mend first what made the validations fail"},
    Limit{"new orders", "find out what else orders so much with this account"},
    Limit{"registrations", "keep the state folder, so that its account is used again"},
};

std::string_view advice_on(const Known& known, std::string_view challenge, std::string_view detail) {
  if (known.type == "rateLimited")
    for (const Limit& limit : known_limits)
      if (detail.find(limit.part_of_detail) != std::string_view::npos) return limit.advice;
  // What is looked up besides the name is not at the addresses that it has.
  if (known.type == "dns" && detail.find("CAA") != std::string_view::npos) return known.advice;
  for (const Advice& one : advice_by_challenge)
    if (one.challenge == challenge && one.type == known.type) return one.advice;
  return known.advice;
}

std::string_view meaning_of(const Known& known, std::string_view challenge) {
  return known.type == "unauthorized" && !challenge.empty() ? "the server found a wrong answer" : known.meaning;
}

const Known* find_known(std::string_view type) {
  for (const Known& known : known_problems) {
    if (known.type == type) return &known;
  }
  return nullptr;
}

/// "the server at HOST …", where it is known which one it is.
std::string named(std::string_view meaning, const std::string& server) {
  constexpr std::string_view anybody = "the server";
  std::string text(meaning);
  const std::size_t found = text.find(anybody);
  if (!server.empty() && found != std::string::npos) text.insert(found + anybody.size(), " at " + server);
  return text;
}

/// `"detail" (type)`, whichever there is.
std::string quote(const std::string& type, const std::string& detail) {
  std::string text;
  if (!detail.empty()) text = '"' + printable(trim(detail), longest_detail) + '"';
  if (!type.empty()) text += (text.empty() ? "(" : " (") + printable(type, 100) + ')';
  return text;
}

/// Its own, or that on its parts, which have the cause.
std::vector<std::string_view> advice_on(const Problem& problem, std::string_view challenge) {
  std::vector<std::string_view> all;
  if (problem.status == not_implemented) return all;
  const auto add = [&](const std::string& about, const std::string& said) {
    const Known* known = find_known(about);
    const std::string_view one = known != nullptr ? advice_on(*known, challenge, said) : "";
    if (!one.empty() && std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
  };
  add(problem.type, problem.detail);
  if (all.empty())
    for (const Problem::Sub& sub : problem.subproblems) add(sub.type, sub.detail);
  return all;
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

std::optional<TimePoint> not_before(const Problem& problem, const std::optional<TimePoint>& retry_after) {
  return retry_after || problem.type != "rateLimited" ? retry_after : moment_in_text(problem.detail);
}

Remedy remedy(const Problem& problem, const std::optional<TimePoint>& retry_after) {
  const auto asks_operator = [](const Problem::Sub& sub) {
    const Known* known = find_known(sub.type);
    return known != nullptr && known->remedy == Remedy::ask_operator;
  };
  if (problem.status == not_implemented) return not_offered.remedy;
  if (problem.paused()) return Remedy::ask_operator;
  if (problem.type == "compound" && std::any_of(problem.subproblems.begin(), problem.subproblems.end(), asks_operator))
    return Remedy::ask_operator;
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
  const Known* known = status == not_implemented ? &not_offered : find_known(type);
  if (paused())
    return named("THE ACCOUNT IS PAUSED by the server", server) +
           ", and nothing is issued for these names until somebody visits the page named here, and then says "
           "'acme-agent renew NAME': " +
           quote(type, detail);
  std::string text = named(known != nullptr ? meaning_of(*known, challenge) : "the server refused", server);
  if (known == nullptr && status != 0) text += " with status " + std::to_string(status);
  if (const std::string said = quote(type, detail); !said.empty()) text += ": " + said;
  std::string parts;
  for (const Sub& sub : subproblems) {
    parts += "; " + (sub.identifier ? sub.identifier->value : std::string("without a name"));
    parts += ": " + quote(sub.type, sub.detail);
  }
  text += printable(parts, 2000);
  if (!instance.empty()) text += "; see " + printable(instance);
  for (const std::string_view one : advice_on(*this, challenge)) text += "; " + std::string(one);
  return text;
}

ProblemError::ProblemError(Problem problem, std::optional<TimePoint> retry_after)
    : Error(acme_agent::remedy(problem, retry_after),
            acme_agent::message(problem, acme_agent::not_before(problem, retry_after)),
            acme_agent::not_before(problem, retry_after)),
      problem_(std::move(problem)) {}

}  // namespace acme_agent
