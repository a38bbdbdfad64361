#include <algorithm>

#include <acme_agent/agent/rate_limits.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/digest.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr const char* orders = "orders";
constexpr const char* as_of = "as of";  // no bucket: when the others were noted
constexpr Duration small_correction = 1min;

std::string failures_of(const Identifier& name) {
  return "failed " + name.value;
}

std::string same_names_as(std::vector<Identifier> names) {
  std::sort(names.begin(), names.end());
  std::string all;
  for (const Identifier& name : names) all += " " + name.value;
  return "issued " + to_hex(sha256(all));  // a hundred names are too much for a key
}

/// When the bucket will be full again. Further ahead than it can ever be was written by a clock that was wrong.
TimePoint full_at(const Spent& spent, const std::string& bucket, TimePoint now, Duration furthest) {
  const auto found = spent.find(bucket);
  return found == spent.end() ? now : std::clamp(found->second, now, now + furthest);
}

void take(Spent& spent, const std::string& bucket, const RateLimit& limit, TimePoint full) {
  spent[bucket] = std::chrono::ceil<std::chrono::seconds>(full + limit.refill);  // as the file keeps no more
}

}  // namespace

TimePoint next_token(const RateLimit& limit, TimePoint full_at, TimePoint now) {
  return std::max(now, full_at - (limit.burst - 1) * limit.refill);
}

Spent& RateLimits::spent_at(const std::string& server) {
  auto known = spent_.find(server);
  if (known == spent_.end()) known = spent_.emplace(server, accounts_.load_spent(server)).first;
  Spent& spent = known->second;
  const auto noted = spent.find(as_of);
  if (noted == spent.end() || noted->second <= clock_.now() + small_correction) return spent;
  const Duration ahead = noted->second - clock_.now();  // by a clock that was wrong: all is as much too late
  for (auto& [bucket, full] : spent) full -= ahead;
  return spent;
}

void RateLimits::save(const std::string& server) {
  Spent& spent = spent_at(server);
  const TimePoint now = clock_.now();
  std::erase_if(spent, [now](const auto& bucket) { return bucket.second <= now; });
  spent[as_of] = now;
  accounts_.save_spent(server, spent);
}

TimePoint RateLimits::take_turn(const std::string& server, const std::vector<Identifier>& names,
                                const std::optional<TimePoint>& turn) {
  const TimePoint now = clock_.now();
  const KnownServer* known = known_server(server);
  if (known == nullptr) return now;
  const std::lock_guard lock(mutex_);
  Spent& spent = spent_at(server);
  const auto free_at = [&](const std::string& bucket, const RateLimit& limit) {
    return next_token(limit, full_at(spent, bucket, now, limit.burst * limit.refill), now);
  };
  TimePoint free = free_at(same_names_as(names), known->same_names);
  for (const Identifier& name : names) free = std::max(free, free_at(failures_of(name), known->failed_validations));
  if (turn && *turn <= now + furthest_turn) return std::max(free, *turn);

  const RateLimit& limit = known->orders;
  const TimePoint full = full_at(spent, orders, now, furthest_turn);
  take(spent, orders, limit, full);
  save(server);
  return std::max(free, next_token(limit, full, now));
}

void RateLimits::validation_failed(const std::string& server, const std::vector<Identifier>& names) {
  const KnownServer* known = known_server(server);
  if (known == nullptr || names.empty()) return;
  const std::lock_guard lock(mutex_);
  Spent& spent = spent_at(server);
  const RateLimit& limit = known->failed_validations;
  for (const Identifier& name : names) {
    const std::string bucket = failures_of(name);
    take(spent, bucket, limit, full_at(spent, bucket, clock_.now(), limit.burst * limit.refill));
  }
  save(server);
}

void RateLimits::issued(const std::string& server, const std::vector<Identifier>& names) {
  const KnownServer* known = known_server(server);
  if (known == nullptr) return;
  const std::lock_guard lock(mutex_);
  const std::string bucket = same_names_as(names);
  const RateLimit& limit = known->same_names;
  Spent& spent = spent_at(server);
  take(spent, bucket, limit, full_at(spent, bucket, clock_.now(), limit.burst * limit.refill));
  save(server);
}

}  // namespace acme_agent
