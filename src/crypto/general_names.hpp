#pragma once

#include <vector>

#include <acme_agent/base/identifier.hpp>

#include "openssl.hpp"

namespace acme_agent {

/// Those of the kinds dNSName and iPAddress, sorted; `names` may be null.
std::vector<Identifier> identifiers_in(const GENERAL_NAMES* names);

}  // namespace acme_agent
