#include <algorithm>
#include <array>
#include <cstdint>

#include <acme_agent/agent/known_servers.hpp>
#include <acme_agent/agent/planner.hpp>
#include <acme_agent/agent/rate_limits.hpp>
#include <acme_agent/base/dates.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr Duration longest_asked_wait = 7 * 24h;  // no limit of a real server lasts longer
constexpr Duration longest_ladder_wait = 24h;
constexpr int repeated_failures = 3;
constexpr Duration long_wait = 1h;  // where it is urgent, for going to another server
constexpr Duration small_correction = 10min;
constexpr Duration back_dated = 1h;  // what a server may set a certificate's begin back or ahead by
constexpr Duration shortest_between_advised = 24h;

TimePoint in_whole_seconds(TimePoint time) {
  return std::chrono::floor<std::chrono::seconds>(time);
}

/// The part of the lifetime that is left when a renewal is due.
Duration share_of(const Validity& validity) {
  const Duration lifetime = validity.lifetime();
  return lifetime < 240h ? lifetime / 2 : lifetime / 3;
}

/// A date that can have been written by a clock that was right; else the beginning of time.
TimePoint sane(const std::optional<TimePoint>& date, TimePoint now, Duration furthest_ahead) {
  return date && *date <= now + furthest_ahead ? *date : TimePoint();
}

/// From when this server may be asked.
TimePoint free_at(const Standing& standing, TimePoint now) {
  return std::max({sane(standing.next_attempt, now, longest_asked_wait),
                   sane(standing.not_before, now, longest_asked_wait), sane(standing.turn, now, furthest_turn)});
}

/// For so long after an attempt no suggestion makes us order: a server that says "now" may say so of each certificate.
Duration rest_after_issuance(const Validity& validity) {
  return std::min(shortest_between_advised, validity.lifetime() / 10);
}

bool is_recalled(const Record& record, TimePoint now) {
  const std::optional<TimePoint>& recalled = record.advice.recalled;
  return recalled && *recalled <= now && recalled > record.last_attempt;
}

/// What the certificate itself asks for.
Due wanted(const Managed& managed, const Record& record, TimePoint now) {
  const bool of_a_wrong_clock = record.held && record.held->validity.not_before > now + back_dated;
  if (!record.held || of_a_wrong_clock) return {now, Reason::missing};
  if (record.held->revoked) return {now, Reason::revoked};
  if (!as_wanted(managed, *record.held) || managed.stands_in(record.held->server)) return {now, Reason::changed};
  const Validity& validity = record.held->validity;
  const bool advised = record.advice.window && record.advice.id == record.held->renewal_info_id;
  // What was issued just now is not renewed at once, also where it was set back by more than its share.
  const bool issued_before =
      record.failures == 0 && record.interrupted == 0 && record.last_attempt && *record.last_attempt <= now;
  if (advised) {
    TimePoint when = choose_moment(*record.advice.window, record.advice.id);
    if (issued_before && !is_recalled(record, now))
      when = std::max(when, *record.last_attempt + rest_after_issuance(validity));
    return {std::min(when, latest_renewal(validity)), Reason::ari};
  }
  TimePoint when = plan_renewal(validity, spread_of(managed.name));
  if (issued_before)
    when =
        std::max(when, *record.last_attempt + std::max<Duration>((validity.not_after - *record.last_attempt) / 3, 1s));
  return {when, Reason::lifetime};
}

/// A server of tests never replaces a certificate that devices accept.
bool may_replace(const Managed& managed, const AcmeServer& server, const Record& record, TimePoint now) {
  if (!record.held || !record.held->validity.contains(now)) return true;
  const HeldFacts& held = *record.held;
  if (is_staging(server.url)) return is_staging(held.server);
  return !managed.stands_in(server.url) || stand_in_from(managed, held) <= now;
}

const AcmeServer& choose_server(const Managed& managed, const Record& record, TimePoint now) {
  const bool of_use = record.held && !record.held->revoked;
  const bool urgent = is_urgent(of_use ? std::optional(record.held->validity) : std::nullopt, now);
  const auto exhausted = [&](const AcmeServer& server) {
    const Standing standing = standing_with(server, record);
    return standing.step >= (urgent ? 1 : repeated_failures) || (urgent && free_at(standing, now) > now + long_wait);
  };
  const auto from = [&](const AcmeServer& server) {
    return std::max(now, free_at(standing_with(server, record), now));
  };
  const AcmeServer* first_free = nullptr;
  for (const auto& server : managed.servers) {
    if (!may_replace(managed, *server, record, now)) continue;
    if (!exhausted(*server)) return *server;
    if (first_free == nullptr || from(*server) < from(*first_free)) first_free = server.get();
  }
  return first_free != nullptr ? *first_free : *managed.servers.front();
}

}  // namespace

TimePoint plan_renewal(const Validity& validity, double spread) {
  const Duration lifetime = validity.lifetime();
  const Duration earlier(static_cast<Duration::rep>(static_cast<double>(lifetime.count()) / 50 * spread));
  return in_whole_seconds(validity.not_after - share_of(validity) - earlier);
}

double spread_of(std::string_view text) {
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a: std::hash may differ between builds
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  for (int i = 0; i < 2; ++i) hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93u;  // short texts differ in few bits
  return static_cast<double>((hash ^ (hash >> 32)) >> 11) / static_cast<double>(std::uint64_t{1} << 53);
}

TimePoint choose_moment(const Window& suggested, std::string_view renewal_info_id) {
  const std::string drawn_for =
      std::string(renewal_info_id) + " " + format_rfc3339(suggested.start) + " " + format_rfc3339(suggested.end);
  const auto length = static_cast<double>((suggested.end - suggested.start).count());
  return in_whole_seconds(suggested.start + Duration(static_cast<Duration::rep>(length * spread_of(drawn_for))));
}

bool is_recall(const Record& record, const Window& suggested, TimePoint now) {
  const RenewalAdvice& before = record.advice;
  if (!record.held || !record.last_attempt || !before.window) return false;
  const Duration rest = rest_after_issuance(record.held->validity);
  if (before.recalled && *before.recalled <= now && now < *before.recalled + rest) return false;
  const TimePoint rested = *record.last_attempt + rest;
  return choose_moment(*before.window, before.id) >= rested && choose_moment(suggested, before.id) < rested;
}

TimePoint latest_renewal(const Validity& validity) {
  return in_whole_seconds(validity.not_after - validity.lifetime() / 10);
}

bool is_urgent(const std::optional<Validity>& validity, TimePoint now) {
  return !validity || !validity->contains(now) || 2 * (validity->not_after - now) < share_of(*validity);
}

Duration wait_after_failure(int step, const std::optional<Validity>& validity, TimePoint now) {
  constexpr std::array<Duration, last_step> ladder{1min, 10min, 100min, longest_ladder_wait};
  Duration wait = ladder.at(static_cast<std::size_t>(std::clamp(step, 1, last_step) - 1));
  if (!validity) return wait;
  wait = std::min(wait, validity->lifetime() / 10);
  if (now < validity->not_after) {
    const Duration at_least = std::min<Duration>(10min, validity->lifetime() / 100);
    wait = std::min(wait, std::max((validity->not_after - now) / 2, at_least));
  }
  return std::max<Duration>(wait, 1s);
}

Duration wait_for_advice(int failures, bool temporary) {
  constexpr Duration longest = 6h;
  if (!temporary) return longest;
  return std::min<Duration>(1min * (1 << (2 * std::clamp(failures - 1, 0, 5))), longest);
}

Duration wait_after_deployment(int failures, bool operator_needed) {
  const int doublings = std::clamp(failures - 1, 0, 10);
  if (operator_needed) return std::min<Duration>(10s * (1 << doublings), 10min);
  return std::min<Duration>(1s * (1 << doublings), 8s);
}

Due next_order(const Managed& managed, const Record& record, TimePoint now) {
  Due due = wanted(managed, record, now);
  due.server = &choose_server(managed, record, now);
  if (record.inputs != inputs_of(managed)) return due;
  // One attempt that was cut off is made again at once; what cuts off each of them must not order each time.
  if (record.interrupted > 1 && record.last_attempt && *record.last_attempt <= now)
    due.when = std::max(due.when, *record.last_attempt + wait_after_failure(record.interrupted - 1, std::nullopt, now));
  const TimePoint free = free_at(standing_with(*due.server, record), now);
  if (record.failures > 0)
    due = {std::max(free, TimePoint()), Reason::retry, due.server};  // also where only a forced renewal was due
  else
    due.when = std::max(due.when, free);
  return due;
}

TimePoint stand_in_from(const Managed& managed, const HeldFacts& held) {
  const bool is_one = managed.stands_in(held.server);
  if (held.revoked || (is_one && !as_wanted(managed, held))) return TimePoint();
  if (is_one) return plan_renewal(held.validity, spread_of(managed.name));
  return in_whole_seconds(held.validity.not_after - held.validity.lifetime() / 30);
}

std::string inputs_of(const Managed& managed) {
  std::string inputs;
  for (const auto& server : managed.servers)
    inputs += server->url + " " + (server->asked_with.empty() ? "" : server->asked_with + " ");
  for (const auto& solver : managed.solvers) inputs += solver->describe() + " ";
  for (const std::string* each : {&managed.profile, &managed.key_thumbprint})
    if (!each->empty()) inputs += *each + " ";
  return inputs + what_of(managed.key_type, managed.identifiers);
}

bool as_wanted(const Managed& managed, const HeldFacts& held) {
  return managed.server_at(held.server) != nullptr && held.what == what_of(managed.key_type, managed.identifiers) &&
         (managed.key_thumbprint.empty() || managed.key_thumbprint == held.key) && !held.superseded;
}

Standing standing_with(const AcmeServer& server, const Record& record) {
  const auto found = record.servers.find(server.url);
  return found == record.servers.end() ? Standing{} : found->second;
}

std::optional<std::string> why_clock_is_wrong(TimePoint now, TimePoint built,
                                              const std::optional<TimePoint>& last_known,
                                              const std::optional<TimePoint>& held) {
  const auto earlier_than = [now](TimePoint time, const std::string& what) {
    return "this machine's clock says " + format_rfc3339(now) + ", which is before " + what + " (" +
           format_rfc3339(time) + ")";
  };
  if (now < built) return earlier_than(built, "this program was built");
  if (last_known && now + small_correction < *last_known) return earlier_than(*last_known, "it last did something");
  if (held && now + back_dated < *held) return earlier_than(*held, "the certificate held begins");
  return std::nullopt;
}

std::optional<std::string> why_clock_is_wrong(TimePoint now, TimePoint server) {
  if (now + 1h >= server && now <= server + 24h) return std::nullopt;
  return "this machine's clock says " + format_rfc3339(now) + ", and the server's says " + format_rfc3339(server);
}

}  // namespace acme_agent
