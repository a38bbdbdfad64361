#pragma once

#include <acme_agent/base/clock.hpp>
#include <acme_agent/challenge/solver.hpp>
#include <acme_agent/net/alpn_listener.hpp>

namespace acme_agent {

/// tls-alpn-01 (RFC 8737) by the embedded listener.
class TlsAlpn01Solver final : public Solver {
 public:
  TlsAlpn01Solver(AlpnListener& listener, Clock& clock) : listener_(listener), clock_(clock) {}

  std::string type() const override { return "tls-alpn-01"; }
  std::string describe() const override { return type() + " on " + listener_.address(); }
  std::unique_ptr<Presentation> present(const ChallengeAnswer& answer, const std::stop_token& stop) override;

 private:
  AlpnListener& listener_;
  Clock& clock_;
};

}  // namespace acme_agent
