#pragma once

#include <stop_token>

#include <acme_agent/base/clock.hpp>

namespace acme_agent {

/// Something that a listener shows to whoever asks for it; taken down with its destruction. May outlive the listener,
/// but not its Log.
class PublishedAnswer {
 public:
  virtual ~PublishedAnswer() = default;

  /// How often it has been fetched so far.
  virtual unsigned visits() const = 0;
  /// Waits until it has been fetched more than `seen` times; false after `timeout` or a stop.
  virtual bool wait_for_visit(unsigned seen, Duration timeout, const std::stop_token& stop) const = 0;
};

}  // namespace acme_agent
