#pragma once

#include <acme_agent/challenge/solver.hpp>
#include <acme_agent/net/http01_listener.hpp>

namespace acme_agent {

/// http-01 (RFC 8555 8.3) by the embedded listener.
class Http01Solver final : public Solver {
 public:
  explicit Http01Solver(Http01Listener& listener) : listener_(listener) {}

  std::string type() const override { return "http-01"; }
  std::string describe() const override { return type() + " on " + listener_.address(); }
  std::unique_ptr<Presentation> present(const ChallengeAnswer& answer, const std::stop_token& stop) override;

 private:
  Http01Listener& listener_;
};

}  // namespace acme_agent
