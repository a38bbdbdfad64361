#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <future>

#include <acme_agent/sys/signals.hpp>

#include "keep_signals.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;

TEST_CASE("each signal reaches the handler by its number") {
  const test::KeepSignals signals;
  block_signals();
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) {
    std::promise<int> taken;
    std::future<int> came = taken.get_future();
    const SignalThread thread([&](int signal) { taken.set_value(signal); });
    ::kill(::getpid(), number);
    REQUIRE(came.wait_for(10s) == std::future_status::ready);
    CHECK(came.get() == number);
  }
}

TEST_CASE("the handler is called again for the next signal") {
  const test::KeepSignals signals;
  block_signals();
  std::array<std::promise<void>, 3> taken;
  std::atomic<std::size_t> count = 0;
  const SignalThread thread([&](int) { taken.at(count++).set_value(); });
  for (std::promise<void>& next : taken) {
    ::kill(::getpid(), SIGHUP);
    REQUIRE(next.get_future().wait_for(10s) == std::future_status::ready);
  }
}

TEST_CASE("a signal that came before the thread is not lost") {
  const test::KeepSignals signals;
  block_signals();
  ::kill(::getpid(), SIGUSR1);
  std::promise<int> taken;
  const SignalThread thread([&](int signal) { taken.set_value(signal); });
  CHECK(taken.get_future().get() == SIGUSR1);
}

TEST_CASE("the thread ends without a signal") {
  const test::KeepSignals signals;
  block_signals();
  for (int i = 0; i < 100; ++i) const SignalThread thread([](int) {});
}

TEST_CASE("writing to a reader that is gone is an error and no signal") {
  const test::KeepSignals signals;
  block_signals();
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  ::close(ends[0]);
  CHECK(::write(ends[1], "x", 1) == -1);
  CHECK(errno == EPIPE);
  ::close(ends[1]);
}
