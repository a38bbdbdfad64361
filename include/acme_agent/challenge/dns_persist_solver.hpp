#pragma once

#include <functional>

#include <acme_agent/challenge/solver.hpp>
#include <acme_agent/dns/resolver.hpp>

namespace acme_agent {

/// dns-persist-01 (draft-ietf-acme-dns-persist): a TXT record that the operator makes once, and that nobody touches
/// again. While it is missing, present() throws an Error with the line for the zone; what cannot be looked up is left
/// to the server to see.
class DnsPersistSolver final : public Solver {
 public:
  DnsPersistSolver(std::function<Resolver()> resolver, const Clock& clock)
      : resolver_(std::move(resolver)), clock_(clock) {}

  std::string type() const override { return "dns-persist-01"; }
  std::unique_ptr<Presentation> present(const ChallengeAnswer& answer, const std::stop_token& stop) override;

 private:
  const std::function<Resolver()> resolver_;
  const Clock& clock_;
};

}  // namespace acme_agent
