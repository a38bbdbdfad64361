#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <acme_agent/alert/alarm.hpp>
#include <acme_agent/mqtt/mqtt_status.hpp>

#include "wiring.hpp"

namespace acme_agent {

/// Looks at every certificate on behalf of `--alert` and `--mqtt`: when the agent has worked, and every quarter of an
/// hour.
class Lookout {
 public:
  static bool is_wanted(const Configuration& configuration) {
    return !configuration.alerts.empty() || configuration.mqtt;
  }

  /// Throws Error (ask_operator) if what was told before was written by a newer version, or --mqtt cannot work here.
  Lookout(const Configuration& configuration, Wiring& wiring);

  /// Once, in the caller's thread, for alerts alone: a broker is told by an agent that stays. Throws nothing.
  void look(const std::stop_token& stop);

  /// From now on in a thread of its own; alerts when the agent has worked first, or after five minutes.
  void start();
  /// The agent has worked. Safe from every thread, as is the next.
  void look_now();
  /// From now on at these certificates.
  void replace(const Configuration& configuration);

 private:
  /// Nothing where the state folder cannot be read, which is logged.
  std::optional<Reports> reports();
  void alert(const Reports& reports, const std::stop_token& stop);
  void keep_looking(const std::stop_token& stop);

  const StateFolder& state_;
  Clock& clock_;
  Log& log_;
  Alarm alarm_;
  std::optional<MqttBroker> broker_;
  std::unique_ptr<MqttStatus> mqtt_;
  std::mutex mutex_;
  std::condition_variable_any asked_;
  bool look_now_ = false;
  std::vector<Subject> subjects_;
  std::jthread thread_;
};

}  // namespace acme_agent
