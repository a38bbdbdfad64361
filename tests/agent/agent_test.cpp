#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include <acme_agent/agent/agent.hpp>

#include "renewing.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;

namespace {

/// An agent that runs in its own thread until the test ends.
struct RunningAgent : test::Renewing {
  Agent agent;
  std::promise<void> ready;
  std::atomic<int> rests = 0;
  std::jthread thread;

  explicit RunningAgent(int workers = 4) : agent{renewer, clock, log, workers} {}

  void start(std::vector<Managed> certificates) {
    thread = std::jthread([this, certificates = std::move(certificates)](const std::stop_token& stop_thread) mutable {
      agent.run(
          std::move(certificates), [this] { ready.set_value(); }, [this] { ++rests; }, stop_thread);
    });
  }

  std::optional<Outcome> renew_and_wait(const std::string& name, const Wish& wish) {
    std::future<std::optional<Outcome>> answer = agent.renew(name, wish);
    REQUIRE(answer.wait_for(20s) == std::future_status::ready);
    return answer.get();
  }
};

}  // namespace

TEST_CASE("every certificate gets its turn in one run, also with fewer workers than certificates") {
  test::Renewing t;
  std::vector<Managed> certificates;
  for (int i = 0; i < 9; ++i) certificates.push_back(t.managed("host" + std::to_string(i) + ".example"));
  Agent agent(t.renewer, t.clock, t.log, 2);
  const std::map<std::string, Outcome> outcomes = agent.run_once(certificates, {.look = true}, t.stop.get_token());
  CHECK(outcomes.size() == 9);
  for (const auto& [name, outcome] : outcomes) CHECK(outcome.exit_code() == 0);
  CHECK(t.ca.accounts_created() == 1);
}

TEST_CASE("one bad name does not stop the others") {
  test::Renewing t;
  t.ca.fail_validation("bad.example", "dns", "NXDOMAIN");
  Agent agent(t.renewer, t.clock, t.log, 2);
  const auto outcomes = agent.run_once({t.managed("bad.example"), t.managed("good.example")}, {}, t.stop.get_token());
  CHECK(outcomes.at("bad.example").exit_code() == 1);
  CHECK(outcomes.at("good.example").exit_code() == 0);
}

TEST_CASE("a running agent is ready when a pair lies in every folder, and renews when asked") {
  RunningAgent t;
  t.start({t.managed()});
  REQUIRE(t.ready.get_future().wait_for(20s) == std::future_status::ready);
  CHECK(t.renew_and_wait("mydyn.example", {.now = true})->exit_code() == 0);
  const std::string first = t.serial();
  const std::optional<Outcome> outcome = t.renew_and_wait("mydyn.example", {.now = true, .force = true});
  CHECK(outcome->issued);
  CHECK(t.serial() != first);
}

TEST_CASE("an agent is ready where a pair lies in every folder, though servers keep all workers waiting") {
  RunningAgent t;
  std::vector<Managed> certificates;
  for (const char* name : {"a.example", "b.example", "c.example", "d.example", "e.example"}) {
    certificates.push_back(t.managed(name));
    t.renew(certificates.back());
  }
  t.clock.advance(61 * 24h);
  std::promise<void> released;
  t.ca.on_validate([&t, wait = released.get_future().share()](const Identifier&, const std::string& token) {
    wait.wait();
    return t.answers->visit(token);
  });
  t.start(certificates);
  CHECK(t.ready.get_future().wait_for(20s) == std::future_status::ready);
  released.set_value();
}

TEST_CASE("where no pair lies yet is worked first, as somebody waits for it") {
  RunningAgent t(1);
  const Managed other = t.managed("a.example");
  t.renew(other);
  t.clock.advance(61 * 24h);
  const std::size_t before = t.ca.requests().size();
  t.start({other, t.managed("new.example")});
  REQUIRE(t.ready.get_future().wait_for(20s) == std::future_status::ready);
  t.renew_and_wait("a.example", {});
  const auto requests = t.ca.requests();
  const auto first = std::find_if(requests.begin() + static_cast<std::ptrdiff_t>(before), requests.end(),
                                  [](const auto& done) { return done.request.url.ends_with("/new-order"); });
  REQUIRE(first != requests.end());
  CHECK(first->payload.find("new.example") != std::string::npos);
}

TEST_CASE("an agent comes to rest once when all is done, and again after each further work") {
  RunningAgent t;
  const auto rests = [&t](int count) {
    const auto give_up = std::chrono::steady_clock::now() + 20s;
    while (t.rests < count && std::chrono::steady_clock::now() < give_up) std::this_thread::sleep_for(1ms);
    return t.rests == count;
  };
  t.start({t.managed("a.example"), t.managed("b.example"), t.managed("c.example")});
  CHECK(rests(1));
  CHECK(t.renew_and_wait("b.example", {.now = true})->exit_code() == 0);
  CHECK(rests(2));
}

TEST_CASE("nobody can renew what the agent does not look after") {
  RunningAgent t;
  t.start({t.managed()});
  CHECK_FALSE(t.renew_and_wait("other.example", {.now = true}));
}

TEST_CASE("a new configuration takes effect without a restart") {
  RunningAgent t;
  t.start({t.managed("old.example")});
  CHECK(t.renew_and_wait("old.example", {})->exit_code() == 0);
  t.agent.replace({t.managed("new.example")});
  CHECK(t.renew_and_wait("new.example", {})->exit_code() == 0);
  CHECK_FALSE(t.renew_and_wait("old.example", {}));
}

TEST_CASE("a new configuration leaves alone what is as it was, and looks again at what has changed") {
  RunningAgent t;
  const Managed unchanged = t.managed("same.example");
  t.start({unchanged, t.managed("other.example")});
  CHECK(t.renew_and_wait("same.example", {})->exit_code() == 0);
  CHECK(t.renew_and_wait("other.example", {})->exit_code() == 0);
  const auto looked_at = [&t](const std::string& name) { return t.record(name).deploy.last_look; };
  const auto same = looked_at("same.example");
  const auto other = looked_at("other.example");
  t.clock.set(t.clock.now() + 1h);
  Managed changed = t.managed("other.example");
  changed.target.ownership.mode = 0644;
  t.agent.replace({unchanged, changed});
  CHECK_FALSE(t.renew_and_wait("not.example", {}));  // what was put before it has been taken
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  while (looked_at("other.example") == other && std::chrono::steady_clock::now() < give_up)
    std::this_thread::sleep_for(10ms);
  CHECK(looked_at("other.example") > other);
  CHECK(looked_at("same.example") == same);
}

TEST_CASE("a stop ends the agent at once, though a server makes it wait") {
  RunningAgent t;
  t.start({t.managed()});
  CHECK(t.renew_and_wait("mydyn.example", {})->exit_code() == 0);
  const auto begin = std::chrono::steady_clock::now();
  t.thread.request_stop();
  t.thread.join();
  CHECK(std::chrono::steady_clock::now() - begin < 1s);
}

TEST_CASE("who waits for a renewal is told when the agent ends first") {
  std::future<std::optional<Outcome>> answer;
  {
    RunningAgent t;
    answer = t.agent.renew("mydyn.example", {});
  }
  CHECK_THROWS_AS(answer.get(), std::future_error);
}

TEST_CASE("a clock that was years ahead and is set right does not put the agent to sleep for years") {
  RunningAgent t;
  const TimePoint real = t.clock.now();
  t.clock.set(real + 24h * 3650);
  t.start({t.managed()});
  CHECK(t.renew_and_wait("mydyn.example", {})->exit_code() == 0);
  t.clock.set(real);
  CHECK_FALSE(t.renew_and_wait("other.example", {}));  // any message, or the end of a nap, makes it look at the clock
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  while (t.record().deploy.last_look > real + 24h && std::chrono::steady_clock::now() < give_up)
    std::this_thread::sleep_for(10ms);
  CHECK(t.record().deploy.last_look < real + 24h);
}

TEST_CASE("an agent that sleeps tells all the same, as often as is wanted, that it lives, and what it has") {
  RunningAgent t;
  t.ca.fail_validation("bad.example", "dns", "NXDOMAIN");
  std::mutex mutex;
  Agent::Summary last;
  std::atomic<int> told = 0;
  t.agent.tell_alive(
      [&](const Agent::Summary& summary) {
        const std::lock_guard lock(mutex);
        last = summary;
        ++told;
      },
      1ms);
  t.start({t.managed("bad.example"), t.managed("good.example")});
  const auto seen = [&] {
    const std::lock_guard lock(mutex);
    return last.certificates == 2 && last.troubled == 1 && last.first_troubled == "bad.example" && last.next;
  };
  for (int waited = 0; waited < 20000 && !seen(); ++waited) std::this_thread::sleep_for(1ms);
  CHECK(seen());
  const int before = told;
  for (int waited = 0; waited < 20000 && told < before + 3; ++waited) std::this_thread::sleep_for(1ms);
  CHECK(told >= before + 3);
  t.thread = {};  // ends before what it calls
}
