#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <acme_agent/base/error.hpp>

namespace acme_agent {

/// Where root is to work in a folder of another user's: becomes that user for good, so that nothing is left there that
/// they cannot read. What root can do besides writing stays: reading everything, low ports, signals, giving files
/// away. Their name; nothing if there is nothing to become. Throws Error (ask_operator). Call it before the first
/// thread.
std::optional<std::string> become_owner_of(const std::filesystem::path& folder);

}  // namespace acme_agent
