#pragma once

#include <filesystem>
#include <stop_token>
#include <string>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {

/// Notices that files in a folder change, by inotify(7) where the system tells.
class FolderWatch {
 public:
  explicit FolderWatch(std::filesystem::path folder);

  /// Another text whenever a file in the folder, or the target of a link there, was replaced, written or given another
  /// owner or mode. Names that begin with a dot do not count: GenerationFolder's books are kept there. Of a folder that
  /// we may not list, only the names that a broker gets from the agent count. Empty where there is no file.
  std::string stamp() const;

  /// Waits until something may have changed since the last stamp, for `longest` at most: file systems of networks do
  /// not tell, so look anyway. Throws Stopped.
  void wait(Duration longest, const std::stop_token& stop);

 private:
  void arm();

  std::filesystem::path folder_;
  FileDescriptor inotify_;  ///< Not valid where the system has no more of them.
};

}  // namespace acme_agent
