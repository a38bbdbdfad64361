#include "support/fake_ca/limits.hpp"

#include <algorithm>

#include <acme_agent/base/dates.hpp>

#include "support/fake_ca/refusal.hpp"

namespace acme_agent::test {

using namespace std::chrono_literals;

namespace {

std::string orders_of(const std::string& account) {
  return "orders " + account;
}

std::string issued_for(const std::vector<Identifier>& sorted) {
  std::string bucket = "issued";
  for (const Identifier& identifier : sorted) bucket += " " + identifier.value;
  return bucket;
}

std::string failures_of(const std::string& account, const Identifier& identifier) {
  return "failed " + account + " " + identifier.value;
}

}  // namespace

// Let's Encrypt's, of August 2026.
const Limits::Limit Limits::orders_of_account{300, 36s};
const Limits::Limit Limits::failed_validations{5, 12min};
const Limits::Limit Limits::certificates_of_names{5, 2016min};

void Limits::check_order(const std::string& account, const std::vector<Identifier>& names) {
  check(issued_for(names), certificates_of_names, "too many certificates (5) for these names in 168 hours");
  for (const Identifier& name : names)
    check(failures_of(account, name), failed_validations,
          "too many failed authorizations (5) for " + name.value + " in the last hour");
  check(orders_of(account), orders_of_account, "too many new orders (300) from this account in the last 3 hours");
}

void Limits::ordered(const std::string& account) {
  spend(orders_of(account), orders_of_account);
}

void Limits::issued(const std::vector<Identifier>& names) {
  spend(issued_for(names), certificates_of_names);
}

void Limits::validation_failed(const std::string& account, const Identifier& name) {
  spend(failures_of(account, name), failed_validations);
}

void Limits::forget(TimePoint before) {
  std::erase_if(full_at_, [&](const auto& bucket) { return bucket.second < before; });
}

void Limits::check(const std::string& bucket, const Limit& limit, const std::string& what) {
  const TimePoint now = clock_.now();
  const TimePoint full = std::max(full_at_[bucket], now) + limit.refill;
  const TimePoint free = full - limit.burst * limit.refill;
  if (!enforced_ || free <= now) return;
  ++met_;
  std::string moment = format_rfc3339(std::chrono::ceil<std::chrono::seconds>(free));
  moment.replace(10, 1, " ").replace(19, 1, " UTC");
  throw Refusal{429, "rateLimited", what + ", retry after " + moment + ": see https://limits.example/", free - now};
}

void Limits::spend(const std::string& bucket, const Limit& limit) {
  full_at_[bucket] = std::max(full_at_[bucket], clock_.now()) + limit.refill;
}

}  // namespace acme_agent::test
