#pragma once

#include <optional>
#include <string>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/store/state.hpp>

namespace acme_agent {

/// Why what is held is not to be replaced by a pair that comes from elsewhere, in half a sentence about `offered`;
/// nothing if that is better.
std::optional<std::string> why_held_stays(const Held& held, const Held& offered, TimePoint now);

}  // namespace acme_agent
