#include <acme_agent/challenge/tls_alpn01_solver.hpp>
#include <acme_agent/crypto/tls_alpn.hpp>

#include "visited_presentation.hpp"

namespace acme_agent {

std::unique_ptr<Presentation> TlsAlpn01Solver::present(const ChallengeAnswer& answer, const std::stop_token&) {
  return std::make_unique<VisitedPresentation>(
      listener_.publish(tls_alpn_server_name(answer.identifier),
                        make_tls_alpn_certificate(answer.identifier, answer.key_authorization, clock_.now())));
}

}  // namespace acme_agent
