#pragma once

#include <atomic>

#include <acme_agent/base/log.hpp>
#include <acme_agent/challenge/solver.hpp>
#include <acme_agent/dns/update_server.hpp>

namespace acme_agent {

/// dns-01 (RFC 8555 8.4) by updates of a zone (RFC 2136). Before the ACME server is told, all name servers of the zone
/// get two minutes to show the record; those that do not are named in the log, and that is all.
class DnsUpdateSolver final : public Solver {
 public:
  DnsUpdateSolver(UpdateServer server, Clock& clock, Log& log) : server_(std::move(server)), clock_(clock), log_(log) {}

  std::string type() const override { return "dns-01"; }
  std::string describe() const override { return "dns-01 by " + server_.describe(); }
  bool has_to_clean_up() const override { return standing_ > 0; }
  std::unique_ptr<Presentation> present(const ChallengeAnswer& answer, const std::stop_token& stop) override;

 private:
  class Record;

  const UpdateServer server_;
  Clock& clock_;
  Log& log_;
  std::atomic<int> standing_ = 0;
};

}  // namespace acme_agent
