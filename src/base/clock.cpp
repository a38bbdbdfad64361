#include <algorithm>
#include <condition_variable>
#include <mutex>

#include <acme_agent/base/clock.hpp>

namespace acme_agent {

TimePoint SystemClock::now() const {
  return std::chrono::floor<Duration>(std::chrono::system_clock::now());
}

Duration SystemClock::uptime() const {
  return std::chrono::floor<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

bool SystemClock::sleep_for(Duration duration, const std::stop_token& stop) {
  // The steady clock counts nanoseconds in 64 bits, and 32-bit machines wait until a second that has 32.
  constexpr Duration longest = std::chrono::years{50};
  const auto deadline = std::chrono::steady_clock::now() + std::min(duration, longest);
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait_until(lock, stop, deadline, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace acme_agent
