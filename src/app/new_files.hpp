#pragma once

#include <filesystem>
#include <string_view>

#include <acme_agent/sys/file.hpp>

namespace acme_agent {

/// Nothing of somebody else's is replaced: the same content is left alone. Throws Error (ask_operator) for another.
void place_file(const std::filesystem::path& file, std::string_view content, mode_t mode);

/// A folder with files for one user alone: whoever called sudo, else whoever calls.
class NewFolder {
 public:
  /// Makes it, or takes one that is empty. Root's is of the user whom `state` belongs to, as whom it goes on, until
  /// hand_over(). Throws Error (ask_operator) for a link, if something lies in it, and if one that is there would have
  /// to be given away.
  NewFolder(const std::filesystem::path& folder, const std::filesystem::path& state);

  const std::filesystem::path& path() const { return path_; }

  void add(const std::string& name, std::string_view content) const;

  /// When all is in it.
  void hand_over() const;

 private:
  std::filesystem::path path_;
  FileDescriptor folder_;
  bool made_ = false;
  Ownership owner_;  ///< Of the files, and at last of a folder that was made.
};

}  // namespace acme_agent
