#pragma once

#include <acme_agent/base/clock.hpp>

namespace acme_agent {

/// A span of time; `start` is part of it, `end` is not.
struct Window {
  TimePoint start;
  TimePoint end;

  bool operator==(const Window&) const = default;
};

}  // namespace acme_agent
