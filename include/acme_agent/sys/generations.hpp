#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/base/secret.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {

/// A folder whose files change together. Each name is a relative link to `..data/<name>`, `..data` a relative link to
/// the folder of one generation beside it (`..1`, `..2`, …), and one rename of `..data` switches all of them.
/// At every moment, also after a crash, all names lead to files of one complete generation.
class GenerationFolder {
 public:
  struct File {
    std::string name;
    Secret content;
  };

  explicit GenerationFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  const std::filesystem::path& path() const { return folder_; }

  /// The folder of the generation that the names lead to (absolute if folder is); nothing before the first.
  std::optional<std::filesystem::path> current() const;

  /// The one that was current before the current one, if it is still kept.
  std::optional<std::filesystem::path> previous() const;

  /// Content of a name in the current generation, or of the regular file of that name; nothing if there is neither.
  std::optional<Secret> read(const std::string& name) const;

  /// Another text whenever one of these files was replaced, written or given another owner or mode.
  std::string stamp(const std::vector<std::string>& names) const;

  /// Writes a new generation, syncs it, and does not switch yet. Everybody may pass its folder: the files guard
  /// themselves. Returns its path for activate(). Leftovers of a crash are removed first, and all but the
  /// current generation and the one before it.
  std::filesystem::path prepare(const std::vector<File>& files, const Ownership& ownership);

  /// Makes a prepared or an earlier generation the current one by one rename, makes the links that are missing, syncs,
  /// and leaves the current one, the one before, and of the others the newest, three in all. Regular files with the
  /// names of the generation become a generation of their own first, so that they can come back.
  void activate(const std::filesystem::path& generation);

  /// Removes a prepared generation that is not to be used.
  void discard(const std::filesystem::path& generation) noexcept;

 private:
  std::filesystem::path folder_;
};

}  // namespace acme_agent
