#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/log.hpp>
#include <acme_agent/net/published_answer.hpp>

#include "connection_loop.hpp"
#include "listening.hpp"

namespace acme_agent {

/// What is to be shown while a challenge is pending, by the key that visitors ask for; the port is held, and a loop
/// serves it, only for as long as there is anything, unless sockets are passed in. Safe from every thread.
template <class Value>
class PendingAnswers {
 public:
  /// `open` gives what the loop works with for as long as the port is held; it must not own the answers.
  PendingAnswers(ListeningPlace place, Log& log, Begin (*open)(PendingAnswers&))
      : place_(std::move(place)), log_(log), open_(open) {}

  /// The same with sockets that listen already: they are held and served all the time.
  PendingAnswers(std::vector<Socket> passed, const Purpose& purpose, Log& log, Begin (*open)(PendingAnswers&))
      : place_{{}, {}, purpose}, log_(log), open_(open), passed_(true) {
    serve(std::move(passed));
  }

  /// Of the first one with this key.
  std::optional<Value> find(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = all_.find(key);
    return found == all_.end() ? std::nullopt : std::optional<Value>(found->second.value);
  }

  void count_visit(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto [first, last] = all_.equal_range(key);
    if (first == last) return;
    for (auto one = first; one != last; ++one) ++one->second.visits;
    visited_.notify_all();
  }

  std::string address() const { return passed_ ? "a passed socket" : place_.address.text(); }

  std::uint16_t port() {
    const std::lock_guard lock(binding_);
    return bound_port_;
  }

  static std::unique_ptr<PublishedAnswer> publish(const std::shared_ptr<PendingAnswers>& answers,
                                                  const std::string& key, Value value) {
    return std::make_unique<Pending>(answers, answers->add(key, std::move(value)));
  }

 private:
  struct Answer {
    Value value;
    unsigned visits = 0;
  };
  using Answers = std::multimap<std::string, Answer>;  // an order that is resumed repeats its tokens

  class Pending final : public PublishedAnswer {
   public:
    Pending(std::shared_ptr<PendingAnswers> answers, typename Answers::iterator one)
        : answers_(std::move(answers)), one_(one) {}
    ~Pending() override { answers_->remove(one_); }

    unsigned visits() const override {
      const std::lock_guard lock(answers_->mutex_);
      return one_->second.visits;
    }

    bool wait_for_visit(unsigned seen, Duration timeout, const std::stop_token& stop) const override {
      std::unique_lock lock(answers_->mutex_);
      return answers_->visited_.wait_for(lock, stop, timeout, [&] { return one_->second.visits > seen; });
    }

   private:
    const std::shared_ptr<PendingAnswers> answers_;
    const typename Answers::iterator one_;
  };

  typename Answers::iterator add(const std::string& key, Value value) {
    const std::lock_guard binding_lock(binding_);
    if (!loop_) serve(listen_at(place_));
    const std::lock_guard lock(mutex_);
    if (place_.purpose.one_answer_for_a_key && all_.contains(key))
      throw Error(Remedy::retry, key + " is being proven by " + std::string(place_.purpose.task) +
                                     " for another certificate at this moment");
    return all_.emplace(key, Answer{std::move(value)});
  }

  void remove(typename Answers::iterator one) {
    const std::lock_guard binding_lock(binding_);
    {
      const std::lock_guard lock(mutex_);
      all_.erase(one);
      if (!all_.empty() || passed_) return;
    }
    loop_.reset();
    log_.debug("let go of port " + std::to_string(bound_port_));
    bound_port_ = 0;
  }

  void serve(std::vector<Socket> sockets) {
    const std::uint16_t port = local_port(sockets.front());
    try {
      loop_ = std::make_unique<ConnectionLoop>(std::move(sockets), open_(*this));
    } catch (const std::system_error& failure) {
      throw Error(Remedy::retry, "cannot start the listener for " + std::string(place_.purpose.task) + ": " +
                                     failure.code().message());
    }
    bound_port_ = port;
    log_.debug("listening on port " + std::to_string(port) + " for " + std::string(place_.purpose.task));
  }

  const ListeningPlace place_;
  Log& log_;
  Begin (*const open_)(PendingAnswers&);
  const bool passed_ = false;

  std::mutex mutex_;
  std::condition_variable_any visited_;
  Answers all_;

  std::mutex binding_;  // held while the port is taken or let go; before `mutex_`
  std::uint16_t bound_port_ = 0;
  std::unique_ptr<ConnectionLoop> loop_;  // as long as there are answers, or sockets were passed in; goes first
};

}  // namespace acme_agent
