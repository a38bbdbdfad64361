#include <doctest/doctest.h>

#include <acme_agent/authority/renewal_due.hpp>

using namespace acme_agent;
using namespace std::chrono_literals;

namespace {

constexpr Duration a_day = 24h;

IssuedDevice device(const std::string& serial, const std::string& name, Duration from, Duration until) {
  return {serial, name, "tasmota", "00000001", {TimePoint(from), TimePoint(until)}};
}

std::set<std::string> due(const std::vector<IssuedDevice>& all, Duration now) {
  return renewal_due(all, TimePoint(now));
}

}  // namespace

TEST_CASE("a renewal is due when a third of the life is left, of a long one when sixty days are") {
  const std::vector<IssuedDevice> all = {device("short", "a", 0h, 30 * a_day), device("long", "b", 0h, 730 * a_day)};
  CHECK(due(all, 20 * a_day).empty());
  CHECK(due(all, 20 * a_day + 1h) == std::set<std::string>{"short"});
  CHECK(due(all, 30 * a_day + 1h).empty());
  CHECK(due(all, 670 * a_day).empty());
  CHECK(due(all, 670 * a_day + 1h) == std::set<std::string>{"long"});
}

TEST_CASE("nothing is due of what is revoked, or has a successor that is not") {
  std::vector<IssuedDevice> all = {device("old", "a", 0h, 90 * a_day), device("new", "a", 80 * a_day, 800 * a_day)};
  CHECK(due(all, 85 * a_day).empty());
  all[1].revoked = TimePoint(81 * a_day);
  CHECK(due(all, 85 * a_day) == std::set<std::string>{"old"});
  all[0].revoked = TimePoint(82 * a_day);
  CHECK(due(all, 85 * a_day).empty());
}
