#pragma once

#include <map>
#include <string>
#include <vector>

#include <acme_agent/status/report.hpp>

namespace acme_agent {

// What an MQTT broker is told. All of it is pure.

/// Payloads by topic.
using Retained = std::map<std::string, std::string>;

/// One level of a topic for this machine: letters, digits, "_" and "-".
std::string instance_of(const std::string& host);

/// Where "online" stands while the agent runs and the broker hears it, else "offline".
std::string status_topic(const std::string& instance);

/// acme-agent/INSTANCE/cert/NAME/state for each certificate, and its discovery for Home Assistant: one device for each,
/// homeassistant/device/ID/config.
Retained retained_of(const Reports& reports, const std::string& instance);

/// Those of a certificate of this name.
std::vector<std::string> retained_topics(const std::string& instance, const std::string& name);

/// What is not retained.
struct Happening {
  std::string topic;
  std::string payload;
};

/// Sees what happens from one look to the next: acme-agent/INSTANCE/cert/NAME/event with renewed, failed, or the state
/// that it came to.
class Happenings {
 public:
  explicit Happenings(std::string instance) : instance_(std::move(instance)) {}

  /// Nothing at the first look.
  std::vector<Happening> since_last(const Reports& reports);

 private:
  struct Seen {
    std::string fingerprint;
    Urgency urgency;
    int failures;
  };

  const std::string instance_;
  std::map<std::string, Seen> seen_;
  bool first_ = true;
};

}  // namespace acme_agent
