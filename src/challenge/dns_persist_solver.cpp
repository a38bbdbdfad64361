#include <algorithm>
#include <charconv>
#include <optional>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/challenge/dns_persist_solver.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr Duration lookup_timeout = 10s;

class StandingRecord final : public Presentation {};

/// What a record says for one issuer (RFC 8659 4.2 has the grammar).
struct Permission {
  std::string issuer;
  std::string account;
  bool wildcard = false;
  std::optional<std::int64_t> until;  ///< Seconds since 1970; -1 for what is no number.
};

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

std::int64_t seconds_in(const std::string& text) {
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  return error == std::errc() && end == text.data() + text.size() && seconds >= 0 ? seconds : -1;
}

Permission read_permission(const std::string& text) {
  Permission permission;
  for (std::string part : split(text, ';')) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos) {
      if (permission.issuer.empty()) permission.issuer = lower_case(part);
      continue;
    }
    const std::string tag = lower_case(std::string(trim(part.substr(0, equals))));
    const std::string value(trim(part.substr(equals + 1)));
    if (tag == "accounturi") permission.account = value;
    if (tag == "policy") permission.wildcard = lower_case(value) == "wildcard";
    if (tag == "persistuntil") permission.until = seconds_in(value);
  }
  return permission;
}

/// Why the record does not let this answer pass; empty if it does.
std::string fault_of(const Permission& permission, const ChallengeAnswer& answer, TimePoint now) {
  if (permission.account != answer.account_url) return "the record there names another account";
  if (answer.identifier.wildcard() && !permission.wildcard) return "the record there is not for wildcards";
  if (permission.until &&
      TimePoint(std::chrono::seconds(std::min<std::int64_t>(*permission.until, 253402300799))) < now)
    return "the record there has come to its persistUntil";
  return {};
}

}  // namespace

std::unique_ptr<Presentation> DnsPersistSolver::present(const ChallengeAnswer& answer, const std::stop_token& stop) {
  const std::string& name = answer.identifier.value;
  const std::string base = answer.identifier.wildcard() ? name.substr(2) : name;
  const std::string place = "_validation-persist." + base;
  std::vector<DnsRecord> records;
  try {
    records = resolver_().ask(place, RecordType::txt, lookup_timeout, stop).records;
  } catch (const Error&) {
    return std::make_unique<StandingRecord>();
  }
  std::string fault = "there is no record for this server yet";
  for (const DnsRecord& record : records) {
    const Permission permission = read_permission(record.value);
    if (std::find(answer.issuers.begin(), answer.issuers.end(), permission.issuer) == answer.issuers.end()) continue;
    fault = fault_of(permission, answer, clock_.now());
    if (fault.empty()) return std::make_unique<StandingRecord>();
  }
  throw Error(Remedy::retry, "dns-persist-01 for " + name + " waits for you (" + fault +
                                 "): put this line into the zone and leave it there: " + place + ". IN TXT \"" +
                                 answer.issuers.front() + "; accounturi=" + printable(answer.account_url) +
                                 (answer.identifier.wildcard() ? "; policy=wildcard\"" : "\""));
}

}  // namespace acme_agent
