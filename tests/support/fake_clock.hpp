#pragma once

#include <mutex>

#include <acme_agent/base/clock.hpp>

namespace acme_agent::test {

/// A clock that moves only when somebody sleeps or the test says so.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(TimePoint start = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22}) : now_(start) {}

  TimePoint now() const override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  Duration uptime() const override {
    const std::lock_guard lock(mutex_);
    return uptime_;
  }
  bool sleep_for(Duration duration, const std::stop_token& stop) override {
    if (stop.stop_requested()) return false;
    advance(duration);
    return true;
  }

  void advance(Duration duration) {
    const std::lock_guard lock(mutex_);
    now_ += duration;
    uptime_ += duration;
  }
  /// The wall clock is set; uptime goes on undisturbed.
  void set(TimePoint now) {
    const std::lock_guard lock(mutex_);
    now_ = now;
  }

 private:
  mutable std::mutex mutex_;
  TimePoint now_;
  Duration uptime_{0};
};

}  // namespace acme_agent::test
