#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <acme_agent/base/error.hpp>
#include <acme_agent/challenge/solver.hpp>

namespace acme_agent::test {

/// A Solver whose answers a FakeCa can look at; it counts its visitors like the real listener.
class ShownAnswers final : public Solver {
 public:
  explicit ShownAnswers(std::string type = "http-01") : type_(std::move(type)) {}

  std::string type() const override { return type_; }

  std::unique_ptr<Presentation> present(const ChallengeAnswer& answer, const std::stop_token&) override {
    const std::lock_guard lock(mutex_);
    if (fails_) throw Error(Remedy::retry, "the port is taken");
    asked_.push_back(answer);
    shown_[answer.token] = {answer.key_authorization, 0};
    return std::make_unique<Shown>(*this, answer.token);
  }

  /// What the CA would find.
  std::optional<std::string> visit(const std::string& token) {
    const std::lock_guard lock(mutex_);
    const auto found = shown_.find(token);
    if (found == shown_.end()) return std::nullopt;
    ++found->second.visits;
    return found->second.key_authorization;
  }

  std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return shown_.size();
  }

  void fail(bool fails = true) { fails_ = fails; }

  /// All that has ever been shown.
  std::vector<ChallengeAnswer> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  struct Answer {
    std::string key_authorization;
    unsigned visits = 0;
  };

  class Shown final : public Presentation {
   public:
    Shown(ShownAnswers& answers, std::string token) : answers_(answers), token_(std::move(token)) {}
    ~Shown() override {
      const std::lock_guard lock(answers_.mutex_);
      answers_.shown_.erase(token_);
    }
    unsigned visits() const override {
      const std::lock_guard lock(answers_.mutex_);
      return answers_.shown_.at(token_).visits;
    }
    bool wait_for_visit(unsigned seen, Duration, const std::stop_token& stop) const override {
      if (stop.stop_requested()) throw Stopped{};
      return visits() > seen;
    }

   private:
    ShownAnswers& answers_;
    const std::string token_;
  };

  const std::string type_;
  mutable std::mutex mutex_;
  std::vector<ChallengeAnswer> asked_;
  std::map<std::string, Answer> shown_;
  bool fails_ = false;
};

}  // namespace acme_agent::test
