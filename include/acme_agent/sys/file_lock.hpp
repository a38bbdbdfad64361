#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <variant>

#include <acme_agent/sys/file.hpp>

namespace acme_agent {

/// An exclusive flock(2) on a file that is made if needed and stays; it ends with the process, whatever ends that, and
/// is not inherited by programs that we start.
class FileLock {
 public:
  /// Who has the lock; 0 if the system does not let us see.
  struct Holder {
    pid_t pid = 0;
  };

  /// The lock, or who holds it. Throws Error if the file cannot be made.
  static std::variant<FileLock, Holder> try_acquire(const std::filesystem::path& path);

 private:
  explicit FileLock(FileDescriptor descriptor) : descriptor_(std::move(descriptor)) {}

  FileDescriptor descriptor_;
};

}  // namespace acme_agent
