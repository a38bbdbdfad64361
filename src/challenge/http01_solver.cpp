#include <acme_agent/base/error.hpp>
#include <acme_agent/challenge/http01_solver.hpp>

namespace acme_agent {
namespace {

class Http01Presentation final : public Presentation {
 public:
  explicit Http01Presentation(std::unique_ptr<Http01Listener::Answer> answer) : answer_(std::move(answer)) {}

  unsigned visits() const override { return answer_->visits(); }

  bool wait_for_visit(unsigned seen, Duration timeout, const std::stop_token& stop) const override {
    const bool visited = answer_->wait_for_visit(seen, timeout, stop);
    if (stop.stop_requested()) throw Stopped{};
    return visited;
  }

 private:
  std::unique_ptr<Http01Listener::Answer> answer_;
};

}  // namespace

std::unique_ptr<Presentation> Http01Solver::present(const ChallengeAnswer& answer, const std::stop_token&) {
  return std::make_unique<Http01Presentation>(listener_.publish(answer.token, answer.key_authorization));
}

}  // namespace acme_agent
