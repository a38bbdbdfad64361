#pragma once

#include <chrono>
#include <string>

#include <acme_agent/status/report.hpp>

namespace acme_agent::test {

constexpr TimePoint noon = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22} + std::chrono::hours(12);
constexpr std::chrono::hours a_day{24};

/// A good certificate that began at noon, to be renewed when two thirds of its life are over.
inline Report good(const std::string& name = "a.example", Duration lifetime = a_day * 90) {
  Report report;
  report.name = name;
  report.state = "valid";
  report.held = report.deployed = true;
  report.leaf = Report::Leaf{{noon, noon + lifetime}, "01", "first", KeyType::rsa2048, "R12", false};
  report.renewal = Window{noon + lifetime * 2 / 3, noon + lifetime * 9 / 10};
  report.next_attempt = report.renewal->start;
  report.urgency = Urgency::good;
  return report;
}

/// The same as it is seen at `now` if every renewal fails.
inline Report failing_at(TimePoint now, Report report = good()) {
  if (now >= report.renewal->start) {
    report.failures = 3;
    report.last_error = "port 80 is taken";
    report.next_attempt = now + std::chrono::hours(1);
    report.urgency = Urgency::failing;
  }
  if (now >= report.leaf->validity.not_after) {
    report.state = "expired";
    report.urgency = Urgency::expired;
  }
  return report;
}

inline Report not_served(Report report = good()) {
  report.deployed = false;
  report.deployment_error = "localhost:8883 shows another certificate";
  report.urgency = Urgency::not_served;
  return report;
}

inline Report missing(const std::string& name = "a.example") {
  Report report;
  report.name = name;
  report.state = "missing";
  report.last_error = "no such name in DNS";
  return report;
}

}  // namespace acme_agent::test
