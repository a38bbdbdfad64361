#pragma once

#include <filesystem>
#include <system_error>
#include <vector>

namespace acme_agent {

/// The paths of all that lies in `folder`, in no order. Where it cannot be read, or not to its end, `error` says why
/// and the others are there all the same; unlike with a range-for over std::filesystem, nothing of that is an
/// exception.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder, std::error_code& error);

}  // namespace acme_agent
