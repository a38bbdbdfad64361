#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include <acme_agent/base/clock.hpp>

namespace acme_agent {

/// What mends a failure, and so when another try makes sense. Chosen where the cause is understood.
enum class Remedy {
  retry,         ///< It may pass by itself: the network, a busy server, a broker that is down.
  wait,          ///< Nothing before a moment that the other side named (Error::not_before).
  ask_operator,  ///< Somebody has to change something first.
};

/// The one exception that crosses rooms: this attempt cannot go on. The message is one sentence for the operator:
/// what failed, where, why, and what to do; without a capital letter and a full stop, so that callers can prepend
/// what they were doing.
class Error : public std::exception {
 public:
  Error(Remedy remedy, std::string message, std::optional<TimePoint> not_before = std::nullopt)
      : remedy_(remedy), message_(std::move(message)), not_before_(not_before) {}

  Remedy remedy() const noexcept { return remedy_; }
  const std::string& message() const noexcept { return message_; }
  /// The other side asked not to be asked again before this moment.
  std::optional<TimePoint> not_before() const noexcept { return not_before_; }
  const char* what() const noexcept override { return message_.c_str(); }

  /// The same error as seen by a caller: "<doing>: <message>".
  Error while_doing(std::string_view doing) const {
    return Error(remedy_, std::string(doing) + ": " + message_, not_before_);
  }

 private:
  Remedy remedy_;
  std::string message_;
  std::optional<TimePoint> not_before_;
};

/// Thrown by a wait or a transfer that a stop request ended: not a failure, nothing is recorded or retried.
/// Not an Error, so that no handler of failures takes it for one.
struct Stopped {};

}  // namespace acme_agent
