#pragma once

#include <set>
#include <string>
#include <vector>

#include <acme_agent/authority/authority.hpp>

namespace acme_agent {

/// The serial numbers of what ends soon, by its own lifetime, with no successor of the same name.
std::set<std::string> renewal_due(const std::vector<IssuedDevice>& all, TimePoint now);

}  // namespace acme_agent
