#pragma once

#include <chrono>
#include <string>

#include <acme_agent/status/report.hpp>

#include "support/temp_dir.hpp"
#include "support/test_ca.hpp"

namespace acme_agent::test {

constexpr TimePoint noon = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22} + std::chrono::hours(12);
constexpr std::chrono::hours a_day{24};

/// A state folder with what a test puts into it; its certificates live for 90 days.
struct Reporting {
  TempDir folder;
  StateFolder state{folder / "state"};
  TestCa ca;
  PrivateKey key = PrivateKey::generate(KeyType::ec256);

  Reporting() { state.create(); }

  /// A held certificate that began `age` ago, with a record for which all is well.
  Record hold(const std::string& name, Duration age = a_day * 10) {
    const Validity validity{noon - age, noon - age + a_day * 90};
    const CertificateState certificate = state.certificate(name);
    certificate.hold({{key, ca.issue(key, {{Identifier::Type::dns, name}}, validity)}, "https://ca.example/dir", ""});
    Record record;
    record.next_attempt = validity.not_after - a_day * 30;
    record.reason = Reason::lifetime;
    record.last_attempt = validity.not_before;
    record.deploy.ok = true;
    certificate.save_record(record);
    return record;
  }

  Report report(const std::string& name) const { return report_on(Subject{name}, state, noon); }
};

}  // namespace acme_agent::test
