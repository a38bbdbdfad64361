#pragma once

#include <memory>
#include <utility>

#include <acme_agent/base/error.hpp>
#include <acme_agent/challenge/solver.hpp>
#include <acme_agent/net/published_answer.hpp>

namespace acme_agent {

/// What one of our listeners shows.
class VisitedPresentation final : public Presentation {
 public:
  explicit VisitedPresentation(std::unique_ptr<PublishedAnswer> answer) : answer_(std::move(answer)) {}

  unsigned visits() const override { return answer_->visits(); }

  bool wait_for_visit(unsigned seen, Duration timeout, const std::stop_token& stop) const override {
    const bool visited = answer_->wait_for_visit(seen, timeout, stop);
    if (stop.stop_requested()) throw Stopped{};
    return visited;
  }

 private:
  std::unique_ptr<PublishedAnswer> answer_;
};

}  // namespace acme_agent
