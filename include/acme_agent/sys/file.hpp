#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include <compare>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/secret.hpp>

namespace acme_agent {

/// An owned file descriptor; close-on-exec.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) noexcept : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~FileDescriptor() { reset(); }

  int get() const noexcept { return fd_; }
  bool valid() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept;

 private:
  int fd_;
};

/// Who owns a file and who may use it. Without uid or gid these stay those of the process.
struct Ownership {
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  mode_t mode = 0600;

  auto operator<=>(const Ownership&) const = default;
};

/// "USER[:GROUP]", each by name or number; `USER` alone keeps the group. Throws Error (ask_operator) for unknown ones.
Ownership parse_owner(std::string_view text, mode_t mode);

/// Throws the Error for `errno`: "<doing> <path>: <reason>", with ask_operator for permissions and read-only file
/// systems, and retry for the rest (a full disk says how to mend it).
[[noreturn]] void throw_errno(std::string_view doing, const std::filesystem::path& path, int error);

/// The same for what writes; what a confinement to folders (confinement.hpp) does not permit says so.
[[noreturn]] void throw_write_errno(std::string_view doing, const std::filesystem::path& path, int error);

/// The whole file; nothing if there is none. Throws Error for every other failure and above `limit` bytes.
std::optional<Secret> read_file(const std::filesystem::path& path, std::size_t limit = 1 << 20);

/// The same for a file that is open; `path` is for messages.
Secret read_open_file(const FileDescriptor& file, const std::filesystem::path& path, std::size_t limit = 1 << 20);

/// What a write survives besides a kill at any moment, which costs nothing. Each sync waits for the disk.
enum class Sync {
  none,     ///< After a power cut the file may be lost or damaged.
  content,  ///< After a power cut the old content or the new one is there, whole.
  folder,   ///< After a power cut the new content is there.
};

/// Replaces `path` by one rename of a file beside it that was created with its final owner and mode. After a kill or a
/// full disk the old content or the new one is there, whole.
void write_file(const std::filesystem::path& path, std::string_view content, const Ownership& ownership,
                Sync sync = Sync::folder);

/// Makes `path` and missing parents with `mode` each, synced. An existing folder is left as it is. Throws Error.
void make_folder(const std::filesystem::path& path, mode_t mode);

/// Opens (O_PATH) a folder that was made just now, and gives it this mode. Throws Error if somebody else's has taken
/// its place since, as who may write in its parent can do.
FileDescriptor open_new_folder(const std::filesystem::path& path, mode_t mode);

/// Creates a new file and, unless `sync` is none, syncs its content; the mode is right from the first byte. With
/// `folder`, in that open folder, and of `path` only the name counts. Throws Error, also if it exists.
void create_file(const std::filesystem::path& path, std::string_view content, const Ownership& ownership,
                 Sync sync = Sync::content, int folder = AT_FDCWD);

/// Syncs what a folder lists.
void sync_folder(const std::filesystem::path& path);

}  // namespace acme_agent
