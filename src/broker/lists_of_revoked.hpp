#pragma once

#include <string_view>

#include <acme_agent/base/clock.hpp>

namespace acme_agent {

/// Whether a broker with the lists of `before` refuses every device that those of `wanted` revoke, and no others, as
/// one with a list that is not in date does. What is revoked to probe with does not count. Both are PEM.
bool revokes_as_much(std::string_view before, std::string_view wanted, TimePoint now);

}  // namespace acme_agent
