#include <doctest/doctest.h>

#include <acme_agent/agent/planner.hpp>

using namespace acme_agent;
using namespace std::chrono_literals;

namespace {

const TimePoint start = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22};

Validity living(Duration lifetime) {
  return {start, start + lifetime};
}

constexpr Duration day = 24h;

}  // namespace

TEST_CASE("a certificate of 90 days is renewed with a third of its life left") {
  CHECK(plan_renewal(living(90 * day), 0) == start + 60 * day);
}

TEST_CASE("a certificate that lives less than ten days is renewed at half its life") {
  CHECK(plan_renewal(living(160h), 0) == start + 80h);
  CHECK(plan_renewal(living(10 * day), 0) == start + 10 * day - 10 * day / 3);
}

TEST_CASE("seconds and centuries of lifetime are planned alike") {
  CHECK(plan_renewal(living(10s), 0) == start + 5s);
  CHECK(plan_renewal(living(7300 * day), 0) == start + 7300 * day - 7300 * day / 3);
}

TEST_CASE("the spread makes a renewal at most a fiftieth of the lifetime earlier, never later") {
  const Validity validity = living(100 * day);
  CHECK(plan_renewal(validity, 1) == plan_renewal(validity, 0) - 2 * day);
  CHECK(plan_renewal(validity, 0.5) == plan_renewal(validity, 0) - day);
}

TEST_CASE("a name has the same spread for ever, and names differ") {
  CHECK(spread_of("mydyn.example") == spread_of("mydyn.example"));
  CHECK(spread_of("mydyn.example") != spread_of("mqtt.mydyn.example"));
  for (int i = 0; i < 1000; ++i) {
    const double spread = spread_of("host" + std::to_string(i));
    CHECK(spread >= 0);
    CHECK(spread < 1);
  }
}

TEST_CASE("the ladder is 1, 10, 100 minutes and then a day, for ever") {
  CHECK(wait_after_failure(1, std::nullopt, start) == 1min);
  CHECK(wait_after_failure(2, std::nullopt, start) == 10min);
  CHECK(wait_after_failure(3, std::nullopt, start) == 100min);
  CHECK(wait_after_failure(4, std::nullopt, start) == 24h);
  CHECK(wait_after_failure(1000, std::nullopt, start) == 24h);
}

TEST_CASE("no step is longer than a tenth of the lifetime") {
  CHECK(wait_after_failure(4, living(160h), start) == 16h);
  CHECK(wait_after_failure(1, living(12s), start) == 1200ms);
}

TEST_CASE("near expiry the wait is half of what is left, but never a hammering") {
  const Validity validity = living(90 * day);
  CHECK(wait_after_failure(4, validity, validity.not_after - 12h) == 6h);
  CHECK(wait_after_failure(4, validity, validity.not_after - 1min) == 10min);
  CHECK(wait_after_failure(4, validity, validity.not_after + 1h) == 24h);
}

TEST_CASE("a broker that comes back is looked at within ten seconds") {
  Duration longest{0};
  for (int failures = 1; failures < 50; ++failures) longest = std::max(longest, wait_after_deployment(failures, false));
  CHECK(longest < 10s);
  CHECK(wait_after_deployment(1, false) == 1s);
}

TEST_CASE("where an operator is needed the looks become rare") {
  CHECK(wait_after_deployment(1, true) == 10s);
  CHECK(wait_after_deployment(100, true) == 10min);
}
