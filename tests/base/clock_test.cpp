#include <doctest/doctest.h>

#include <chrono>
#include <stop_token>
#include <thread>

#include <acme_agent/base/clock.hpp>

using namespace acme_agent;
using namespace std::chrono_literals;

TEST_CASE("a sleep lasts as long as asked and says that nobody stopped it") {
  SystemClock clock;
  const Duration before = clock.uptime();
  CHECK(clock.sleep_for(30ms, std::stop_token()));
  CHECK(clock.uptime() - before >= 30ms);
}

TEST_CASE("a stop ends even the longest sleep at once") {
  SystemClock clock;
  std::stop_source stop;
  const Duration before = clock.uptime();
  std::jthread stopper([&] {
    std::this_thread::sleep_for(30ms);
    stop.request_stop();
  });
  CHECK_FALSE(clock.sleep_for(Duration::max(), stop.get_token()));
  CHECK(clock.uptime() - before >= 30ms);
  CHECK(clock.uptime() - before < 10s);
}

TEST_CASE("a sleep after the stop does not begin") {
  SystemClock clock;
  std::stop_source stop;
  stop.request_stop();
  CHECK_FALSE(clock.sleep_for(1h, stop.get_token()));
  CHECK_FALSE(clock.sleep_for(0ms, stop.get_token()));
}

TEST_CASE("a sleep of no or negative length is over at once") {
  SystemClock clock;
  CHECK(clock.sleep_for(0ms, std::stop_token()));
  CHECK(clock.sleep_for(-1h, std::stop_token()));
}

TEST_CASE("one clock serves several threads at once") {
  SystemClock clock;
  std::stop_source stop;
  std::jthread first([&] { CHECK_FALSE(clock.sleep_for(1h, stop.get_token())); });
  std::jthread second([&] { CHECK_FALSE(clock.sleep_for(1h, stop.get_token())); });
  stop.request_stop();
}
