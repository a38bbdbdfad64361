#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <vector>

#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/confinement.hpp>
#include <acme_agent/sys/file.hpp>

#include "errno_text.hpp"

namespace acme_agent {
namespace {

struct Cause {
  Remedy remedy;
  std::string reason;
};

Cause explain(const std::filesystem::path& path, int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return {Remedy::ask_operator, "permission denied to user " + std::to_string(::geteuid())};
    case EROFS:
      return {Remedy::ask_operator, "the file system is read-only (a systemd unit may need it in ReadWritePaths=)"};
    case ENOENT:
      return {Remedy::ask_operator, "no such file or directory"};
    case ENOTDIR:
      return {Remedy::ask_operator, "something on the way to it is not a folder"};
    case EISDIR:
      return {Remedy::ask_operator, "it is a folder"};
    case EEXIST:
      return {Remedy::ask_operator, "it exists already"};
    case ELOOP:
      return {Remedy::ask_operator, "too many symbolic links"};
    case ENAMETOOLONG:
      return {Remedy::ask_operator, "the name is too long"};
    case ENOSPC:
      return {Remedy::retry, "no space left on the file system that holds " + printable(path.native()) + ": free some"};
    case EDQUOT:
      return {Remedy::retry, "the disk quota of user " + std::to_string(::geteuid()) + " is used up: free some space"};
    case EIO:
      return {Remedy::retry, "input/output error: the medium may be failing, see the kernel's messages"};
    case EMFILE:
    case ENFILE:
      return {Remedy::retry, "too many open files: raise the limit (LimitNOFILE= of a systemd unit)"};
    default:
      return {Remedy::retry, errno_text(error)};
  }
}

[[noreturn]] void refuse_owner(std::string_view text, std::string_view reason) {
  throw Error(Remedy::ask_operator, "'" + printable(text) + "' is not an owner: " + std::string(reason));
}

/// A number as chown(2) takes it: all ones mean "unchanged" there.
std::optional<unsigned> parse_number(std::string_view text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == static_cast<unsigned>(-1))
    return std::nullopt;
  return number;
}

/// What getpwnam_r or getgrnam_r knows of `name`, in `entry`, which points into `buffer`.
template <class Entry, class Lookup>
bool look_up(Lookup lookup, const std::string& name, Entry& entry, std::vector<char>& buffer) {
  Entry* found = nullptr;
  buffer.resize(1024);
  while (lookup(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == ERANGE) buffer.resize(2 * buffer.size());
  return found != nullptr;
}

uid_t user_id(std::string_view text, std::string_view name) {
  passwd entry{};
  std::vector<char> buffer;
  if (look_up(::getpwnam_r, std::string(name), entry, buffer)) return entry.pw_uid;
  if (const auto number = parse_number(name)) return *number;
  refuse_owner(text, "there is no user '" + printable(name) + "' on this machine");
}

gid_t group_id(std::string_view text, std::string_view name) {
  group entry{};
  std::vector<char> buffer;
  if (look_up(::getgrnam_r, std::string(name), entry, buffer)) return entry.gr_gid;
  if (const auto number = parse_number(name)) return *number;
  refuse_owner(text, "there is no group '" + printable(name) + "' on this machine");
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

/// The group first and the user last: without root's powers only the owner may do the other two.
void apply(const Ownership& ownership, int file, const std::filesystem::path& path) {
  if (ownership.gid && ::fchown(file, static_cast<uid_t>(-1), *ownership.gid) != 0) {
    throw_errno("cannot give to group " + std::to_string(*ownership.gid) + ", as only root and its members can,", path,
                errno);
  }
  if (::fchmod(file, ownership.mode) != 0) throw_errno("cannot set the mode of", path, errno);
  if (ownership.uid && ::fchown(file, *ownership.uid, static_cast<gid_t>(-1)) != 0) {
    throw_errno("cannot give to user " + std::to_string(*ownership.uid) + ", as only root can,", path, errno);
  }
}

void write(int file, std::string_view content, const std::filesystem::path& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(file, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_errno("cannot write", path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// False if there is nothing; throws Error if there is something else.
bool is_folder(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return false;
    throw_errno("cannot make the folder", path, errno);
  }
  if (!S_ISDIR(status.st_mode)) throw_errno("cannot make the folder", path, ENOTDIR);
  return true;
}

}  // namespace

void FileDescriptor::reset(int fd) noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Ownership parse_owner(std::string_view text, mode_t mode) {
  const std::size_t colon = text.find(':');
  const std::string_view user = text.substr(0, colon);
  if (user.empty()) refuse_owner(text, "write USER or USER:GROUP");
  Ownership ownership;
  ownership.mode = mode;
  ownership.uid = user_id(text, user);
  if (colon != std::string_view::npos) {
    const std::string_view group = text.substr(colon + 1);
    if (group.empty()) refuse_owner(text, "write USER or USER:GROUP");
    ownership.gid = group_id(text, group);
  }
  return ownership;
}

void throw_errno(std::string_view doing, const std::filesystem::path& path, int error) {
  const Cause cause = explain(path, error);
  throw Error(cause.remedy, std::string(doing) + ' ' + printable(path.native()) + ": " + cause.reason);
}

void throw_write_errno(std::string_view doing, const std::filesystem::path& path, int error) {
  if (error != EACCES || !is_confined_to_folders()) throw_errno(doing, path, error);
  throw Error(Remedy::ask_operator,
              std::string(doing) + ' ' + printable(path.native()) + ": permission denied to user " +
                  std::to_string(::geteuid()) +
                  " (an agent that runs writes in the folders that were there when it started: restart it for another; "
                  "or is it a link to elsewhere? name the real folder)");
}

std::optional<Secret> read_file(const std::filesystem::path& path, std::size_t limit) {
  // Opening a pipe without a writer would wait for ever.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.valid() && errno == ENOENT) return std::nullopt;
  if (!file.valid()) throw_errno("cannot read", path, errno);
  return read_open_file(file, path, limit);
}

Secret read_open_file(const FileDescriptor& file, const std::filesystem::path& path, std::size_t limit) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_errno("cannot read", path, errno);
  if (S_ISDIR(status.st_mode)) throw_errno("cannot read", path, EISDIR);
  if (!S_ISREG(status.st_mode)) {
    throw Error(Remedy::ask_operator, "cannot read " + printable(path.native()) + ": it is not a regular file");
  }
  Secret content;
  std::array<char, 4096> buffer;
  ssize_t count = 0;
  while ((count = ::read(file.get(), buffer.data(), buffer.size())) != 0) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno("cannot read", path, errno);
    content.append({buffer.data(), static_cast<std::size_t>(count)});
    if (content.reveal().size() > limit) {
      throw Error(Remedy::ask_operator, "cannot read " + printable(path.native()) + ": it is larger than " +
                                            std::to_string(limit) + " bytes, which is no file of ours");
    }
  }
  ::explicit_bzero(buffer.data(), buffer.size());
  return content;
}

void create_file(const std::filesystem::path& path, std::string_view content, const Ownership& ownership, Sync sync,
                 int folder) {
  const std::filesystem::path name = folder == AT_FDCWD ? path : path.filename();
  const FileDescriptor file(::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0));
  if (!file.valid()) throw_write_errno("cannot create", path, errno);
  try {
    apply(ownership, file.get(), path);
    write(file.get(), content, path);
    if (sync != Sync::none && ::fsync(file.get()) != 0) throw_errno("cannot sync", path, errno);
  } catch (const Error&) {
    ::unlinkat(folder, name.c_str(), 0);
    throw;
  }
}

void write_file(const std::filesystem::path& path, std::string_view content, const Ownership& ownership, Sync sync) {
  const std::filesystem::path replacement = folder_of(path) / ("." + path.filename().native() + ".new");
  if (::unlink(replacement.c_str()) != 0 && errno != ENOENT) throw_errno("cannot remove", replacement, errno);
  create_file(replacement, content, ownership, sync);
  if (::rename(replacement.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(replacement.c_str());
    throw_errno("cannot replace", path, error);
  }
  if (sync == Sync::folder) sync_folder(folder_of(path));
}

void make_folder(const std::filesystem::path& path, mode_t mode) {
  if (is_folder(path)) return;
  const std::filesystem::path parent = folder_of(path);
  make_folder(parent, mode);
  if (path.filename().empty()) return;  // A final slash.
  if (::mkdir(path.c_str(), mode) != 0) {
    const int error = errno;
    if (error == EEXIST && is_folder(path)) return;  // Somebody was faster.
    throw_write_errno("cannot make the folder", path, error);
  }
  open_new_folder(path, mode);
  sync_folder(parent);
}

FileDescriptor open_new_folder(const std::filesystem::path& path, mode_t mode) {
  FileDescriptor made(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!made.valid() || ::fstat(made.get(), &status) != 0) throw_errno("cannot open the folder", path, errno);
  if (status.st_uid != ::geteuid())
    throw Error(Remedy::ask_operator, printable(path.native()) + " was replaced by user " +
                                          std::to_string(status.st_uid) + " as soon as it was made");
  // fchmod(2) takes no such descriptor, and what the umask has narrowed may not open with another.
  const std::string opened = "/proc/self/fd/" + std::to_string(made.get());
  if (::chmod(opened.c_str(), mode) != 0) throw_errno("cannot set the mode of", path, errno);
  return made;
}

void sync_folder(const std::filesystem::path& path) {
  const FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) throw_errno("cannot open the folder", path, errno);
  // Some file systems cannot sync a folder, and say so with EINVAL.
  if (::fsync(folder.get()) != 0 && errno != EINVAL) throw_errno("cannot sync the folder", path, errno);
}

}  // namespace acme_agent
