#include <doctest/doctest.h>

#include <atomic>
#include <future>

#include <acme_agent/agent/look_ahead.hpp>
#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/error.hpp>

#include "renewing.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;
using test::Renewing;

namespace {

const std::vector<Identifier> names = {{Identifier::Type::dns, "mydyn.example"}};

/// A renewer whose looks are counted.
struct Looking : Renewing {
  std::atomic<int> looks = 0;
  Renewer looking{state.accounts(),
                  [this](const std::string& name) { return state.certificate(name); },
                  TimePoint(),
                  clock,
                  log,
                  [this](const auto&, const auto&, const auto&, const auto&) {
                    ++looks;
                    return std::vector<std::string>();
                  }};

  Looking() { ca.caa_identity("ca.example"); }

  Outcome renew(const Managed& one, const Wish& wish = {.look = true}) {
    return looking.renew(
        one, wish, [] {}, stop.get_token());
  }
};

}  // namespace

TEST_CASE("what may keep a server from validating is said before it answers") {
  std::promise<std::string> said;
  const LookAhead look(
      [](const auto& asked, const auto& challenge, const auto& issuers, const auto&) {
        return std::vector{asked.front().value + " by " + challenge + " is nothing for " + issuers.front()};
      },
      names, "http-01", {"ca.example"}, [&said](const std::string& sentence) { said.set_value(sentence); });
  std::future<std::string> sentence = said.get_future();
  REQUIRE(sentence.wait_for(10s) == std::future_status::ready);
  CHECK(sentence.get() ==
        "seen from here, mydyn.example by http-01 is nothing for ca.example; asking the server all the same");
}

TEST_CASE("a server that answers first does not wait for the look") {
  bool said = false;
  std::promise<void> begun;
  {
    const LookAhead look(
        [&begun](const auto&, const auto&, const auto&, const std::stop_token& stop) -> std::vector<std::string> {
          begun.set_value();
          SystemClock().sleep_for(10min, stop);
          throw Stopped{};
        },
        names, "http-01", {"ca.example"}, [&said](const std::string&) { said = true; });
    begun.get_future().wait();
  }
  CHECK_FALSE(said);
}

TEST_CASE("nothing is looked at for a private server, which may see another DNS") {
  const auto fail = [](const auto&, const auto&, const auto&, const auto&) -> std::vector<std::string> {
    FAIL("looked");
    return {};
  };
  const LookAhead look(fail, names, "http-01", {}, [](const std::string&) { FAIL("said"); });
}

TEST_CASE("the names are looked at while the first certificate is ordered, and not at a renewal as always") {
  Looking t;
  const Managed one = t.managed();
  t.renew(one);
  CHECK(t.looks.load() == 1);
  CHECK(t.renew(one, {.force = true}).issued);
  CHECK(t.looks.load() == 1);
}

TEST_CASE("after a failure, and for other names, they are looked at again") {
  Looking t;
  Managed one = t.managed();
  t.renew(one);
  t.ca.fail_issuance("serverInternal", "try later");
  CHECK_FALSE(t.renew(one, {.force = true}).issued);
  const int failed = t.looks;
  t.ca.fail_issuance("", "");
  CHECK(t.renew(one, {.force = true}).issued);
  CHECK(t.looks.load() == failed + 1);
  one.identifiers.push_back({Identifier::Type::dns, "mqtt.mydyn.example"});
  CHECK(t.renew(one).issued);
  CHECK(t.looks.load() == failed + 2);
}
