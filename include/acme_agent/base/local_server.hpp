#pragma once

#include <string_view>

namespace acme_agent {

/// Stands for our own authority where another server has the URL of its directory.
inline constexpr std::string_view local_server = "local";

}  // namespace acme_agent
