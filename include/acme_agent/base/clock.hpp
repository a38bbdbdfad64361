#pragma once

#include <chrono>
#include <stop_token>

namespace acme_agent {

using Duration = std::chrono::milliseconds;
/// Wall-clock time in UTC. Milliseconds in 64 bits hold every date that a certificate can carry.
using TimePoint = std::chrono::sys_time<Duration>;

/// The only source of time and the only way to wait, so that tests can play years in a moment.
class Clock {
 public:
  virtual ~Clock() = default;

  /// The wall clock. It may jump in either direction: use it for dates, never to bound a wait.
  virtual TimePoint now() const = 0;

  /// Time since some fixed moment; never jumps. For time-outs and deadlines.
  virtual Duration uptime() const = 0;

  /// Waits for `duration`; false if `stop` was requested first (at once if it already is).
  virtual bool sleep_for(Duration duration, const std::stop_token& stop) = 0;
};

/// The clock of the machine. One object may serve every thread.
class SystemClock final : public Clock {
 public:
  TimePoint now() const override;
  Duration uptime() const override;
  bool sleep_for(Duration duration, const std::stop_token& stop) override;
};

}  // namespace acme_agent
