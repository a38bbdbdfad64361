#pragma once

#include <stop_token>

#include <acme_agent/sys/file.hpp>

namespace acme_agent {

/// A descriptor that poll(2) can wait on.
class Event {
 public:
  Event();

  /// From now on the descriptor is readable.
  void set() noexcept;
  int descriptor() const noexcept { return descriptor_.get(); }

 private:
  FileDescriptor descriptor_;
};

/// Set as soon as `stop` is requested.
class StopEvent {
 public:
  explicit StopEvent(const std::stop_token& stop) : callback_(stop, Set{event_}) {}

  int descriptor() const noexcept { return event_.descriptor(); }

 private:
  struct Set {
    Event& event;
    void operator()() const noexcept { event.set(); }
  };

  Event event_;
  std::stop_callback<Set> callback_;
};

}  // namespace acme_agent
