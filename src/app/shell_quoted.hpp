#pragma once

#include <string>
#include <string_view>

namespace acme_agent {

/// One word of a line that people paste into a shell; quoted where it has to be.
std::string shell_quoted(std::string_view word);

}  // namespace acme_agent
