#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include <acme_agent/alert/alarm.hpp>

#include "wiring.hpp"

namespace acme_agent {

/// Looks at every certificate on behalf of `--alert`: when the agent has worked, and every quarter of an hour.
class Alerting {
 public:
  /// Throws Error (ask_operator) if what was told before was written by a newer version.
  Alerting(const Configuration& configuration, Wiring& wiring);

  /// Once, in the caller's thread. Throws nothing.
  void look(const std::stop_token& stop);

  /// From now on in a thread of its own; the first time when the agent has worked, or after five minutes.
  void start();
  /// The agent has worked. Safe from every thread, as is the next.
  void look_now();
  /// From now on at these certificates.
  void replace(const Configuration& configuration);

 private:
  void keep_looking(const std::stop_token& stop);

  const StateFolder& state_;
  Clock& clock_;
  Log& log_;
  Alarm alarm_;
  std::mutex mutex_;
  std::condition_variable_any asked_;
  bool look_now_ = false;
  std::vector<Subject> subjects_;
  std::jthread thread_;
};

}  // namespace acme_agent
