#include <acme_agent/challenge/http01_solver.hpp>

#include "visited_presentation.hpp"

namespace acme_agent {

std::unique_ptr<Presentation> Http01Solver::present(const ChallengeAnswer& answer, const std::stop_token&) {
  return std::make_unique<VisitedPresentation>(listener_.publish(answer.token, answer.key_authorization));
}

}  // namespace acme_agent
