#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include <acme_agent/base/clock.hpp>

namespace acme_agent {

/// A small queue that threads share.
template <class T>
class Mailbox {
 public:
  void put(T message) {
    {
      const std::lock_guard lock(mutex_);
      messages_.push_back(std::move(message));
    }
    arrived_.notify_one();
  }

  /// The oldest message; nothing after `patience` or on a stop.
  std::optional<T> take(Duration patience, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, stop, patience, [this] { return !messages_.empty(); });
    return pop();
  }

  /// The oldest message; nothing on a stop.
  std::optional<T> take(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, stop, [this] { return !messages_.empty(); });
    return pop();
  }

 private:
  std::optional<T> pop() {
    if (messages_.empty()) return std::nullopt;
    std::optional<T> message(std::move(messages_.front()));
    messages_.pop_front();
    return message;
  }

  std::mutex mutex_;
  std::condition_variable_any arrived_;
  std::deque<T> messages_;
};

}  // namespace acme_agent
