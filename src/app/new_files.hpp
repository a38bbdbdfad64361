#pragma once

#include <filesystem>
#include <string_view>

#include <acme_agent/sys/file.hpp>

namespace acme_agent {

/// Nothing of somebody else's is replaced: the same content is left alone. Throws Error (ask_operator) for another.
void place_file(const std::filesystem::path& file, std::string_view content, mode_t mode);

/// Makes the folder, for its user alone: of root, that is the user whom `state` belongs to, as whom it goes on.
/// Throws Error (ask_operator) if something lies in it.
void make_empty_folder(const std::filesystem::path& folder, const std::filesystem::path& state);

}  // namespace acme_agent
