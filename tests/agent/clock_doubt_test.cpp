#include <doctest/doctest.h>

#include <acme_agent/agent/renewer.hpp>

#include "renewing.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;
using test::deployed_serial;
using test::Renewing;

namespace {

constexpr Duration day = 24h;

}  // namespace

TEST_CASE("a wait from a clock that was years ahead does not hold anything up") {
  Renewing t;
  const Managed one = t.managed();
  const TimePoint real = t.clock.now();
  t.clock.set(real + 3650 * day);
  t.ca.go_down(1);
  t.renew(one);
  t.clock.set(real);
  CHECK(t.renew(one, {}).exit_code() == 0);
}

TEST_CASE("by a clock that is behind, nothing is ordered and nothing is replaced until it is right") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  t.clock.advance(70 * day);
  t.ca.go_down();  // nobody confirms the clock
  const TimePoint real = t.clock.now();
  t.clock.set(std::chrono::sys_days{std::chrono::year{1970} / 1 / 1});
  const Outcome outcome = t.renew(one);
  CHECK(outcome.exit_code() == 1);
  CHECK(outcome.problem.find("clock") != std::string::npos);
  CHECK(outcome.next <= t.clock.now() + 15min);
  CHECK(deployed_serial(one) == t.serial());
  t.ca.come_back();
  t.clock.set(real);
  CHECK(t.renew(one).issued);
}

TEST_CASE("a clock that the server's confirms is trusted, whatever was noted in the future") {
  Renewing t;
  const Managed one = t.managed();
  t.clock.advance(3650 * day);
  t.ca.certificate_lifetime(1h);
  t.renew(one);
  t.clock.advance(-3650 * day);
  t.ca.certificate_lifetime(90 * day);
  t.ca.backdate(1h);
  CHECK(t.renew(one).exit_code() == 0);
}

TEST_CASE("a server whose clock says something else gets no order") {
  Renewing t;
  test::FakeClock servers_clock(t.clock.now() + 2 * day);
  test::FakeCa elsewhere(servers_clock);
  Managed one = t.managed();
  one.servers = {test::server_of(elsewhere, "elsewhere")};
  const Outcome outcome = t.renew(one);
  CHECK(outcome.exit_code() == 1);
  CHECK(outcome.problem.find("the server's says") != std::string::npos);
  CHECK(elsewhere.count("/new-order") == 0);
  CHECK(t.record().failures == 0);
}
