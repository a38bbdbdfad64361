#include "lookout.hpp"

#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

#include <acme_agent/mqtt/topics.hpp>

#include "operators_files.hpp"

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr Duration first_look = 5min;  // a machine that comes back after weeks is to renew before anybody is told
constexpr Duration between_looks = 15min;

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "this machine";
}

std::optional<MqttBroker> broker_in(const Configuration& configuration) {
  if (!configuration.mqtt) return std::nullopt;
  const MqttRule& rule = *configuration.mqtt;
  return MqttBroker{rule.place, rule.tls, rule.user, mqtt_password_in(configuration), configuration.defaults.ca_bundle};
}

}  // namespace

Lookout::Lookout(const Configuration& configuration, Wiring& wiring)
    : state_(wiring.state()),
      clock_(wiring.clock()),
      log_(wiring.log()),
      alarm_(wiring.channels(configuration), state_.path() / "alerts.json", host_name(), clock_, log_),
      broker_(broker_in(configuration)),
      subjects_(subjects_of(configuration, state_)) {}

std::optional<Reports> Lookout::reports() {
  std::unique_lock lock(mutex_);
  const std::vector<Subject> subjects = subjects_;
  lock.unlock();
  try {
    return report_on(subjects, state_, ACME_AGENT_VERSION, clock_.now());
  } catch (const std::exception& error) {
    log_.error(std::string("cannot look whether somebody is to be told: ") + error.what());
    return std::nullopt;
  }
}

void Lookout::alert(const Reports& reports, const std::stop_token& stop) {
  try {
    alarm_.look(reports, stop);
  } catch (const Stopped&) {
  } catch (const std::exception& error) {
    log_.error(std::string("cannot tell anybody: ") + error.what());
  }
}

void Lookout::look(const std::stop_token& stop) {
  if (const std::optional<Reports> now = reports()) alert(*now, stop);
}

void Lookout::start() {
  if (broker_) {
    mqtt_ = std::make_unique<MqttStatus>(*broker_, instance_of(host_name()), log_);
    std::set<std::string> names;
    for (const Subject& subject : subjects_) names.insert(subject.name);
    for (const std::string& name : state_.names())
      if (!names.contains(name)) mqtt_->forget(name);
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { keep_looking(stop); });
}

void Lookout::look_now() {
  const std::lock_guard lock(mutex_);
  look_now_ = true;
  asked_.notify_all();
}

void Lookout::replace(const Configuration& configuration) {
  std::vector<Subject> subjects = subjects_of(configuration, state_);
  const std::lock_guard lock(mutex_);
  subjects_ = std::move(subjects);
}

void Lookout::keep_looking(const std::stop_token& stop) {
  Duration nap = first_look;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      asked_.wait_for(lock, stop, nap, [this] { return look_now_; });
      if (stop.stop_requested()) return;
      look_now_ = false;
    }
    const Duration began = clock_.uptime();
    const std::optional<Reports> now = reports();
    const Duration took = clock_.uptime() - began;
    if (now && mqtt_) mqtt_->show(*now);
    if (now) alert(*now, stop);
    clock_.sleep_for(10 * took, stop);  // thousands of certificates are not looked at all the time
    nap = between_looks;
    if (const std::optional<Duration> again = alarm_.try_again_at())
      nap = std::clamp<Duration>(*again - clock_.uptime(), 1s, between_looks);
  }
}

}  // namespace acme_agent
