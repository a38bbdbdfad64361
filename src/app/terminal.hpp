#pragma once

#include <string>

namespace acme_agent {

/// Asks the operator at the terminal; only "y" and "yes" agree.
bool agreed(const std::string& question);

}  // namespace acme_agent
