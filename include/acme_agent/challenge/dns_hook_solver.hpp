#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include <acme_agent/base/log.hpp>
#include <acme_agent/challenge/solver.hpp>
#include <acme_agent/sys/processes.hpp>

namespace acme_agent {

/// dns-01 (RFC 8555 8.4) by a program that sets and removes the TXT record. It is called as lego calls those of its
/// provider `exec` (PROGRAM present|cleanup NAME VALUE, the name with a final dot) and sees the variables that certbot
/// gives to the hooks of its plugin `manual`. One call at a time: such programs edit files.
class DnsHookSolver final : public Solver {
 public:
  /// One program with its first arguments, or two: one to set, one to remove. `timeout` is for each call.
  DnsHookSolver(std::vector<std::vector<std::string>> programs, Duration timeout, const Processes& processes, Log& log)
      : programs_(std::move(programs)), timeout_(timeout), processes_(processes), log_(log) {}

  std::string type() const override { return "dns-01"; }
  std::string describe() const override;
  bool has_to_clean_up() const override { return standing_ > 0; }

  /// Returns when the program has ended. Whatever becomes of that, the record is removed again.
  std::unique_ptr<Presentation> present(const ChallengeAnswer& answer, const std::stop_token& stop) override;

 private:
  class Record;

  const std::vector<std::vector<std::string>> programs_;
  const Duration timeout_;
  const Processes& processes_;
  Log& log_;
  std::mutex calling_;
  std::atomic<int> standing_ = 0;
};

}  // namespace acme_agent
