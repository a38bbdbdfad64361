#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>

#include <acme_agent/sys/file_lock.hpp>

namespace acme_agent {
namespace {

/// The pid that the holder wrote into the file; 0 if it did not come to that.
pid_t read_holder(int file) {
  std::array<char, 16> text{};
  const ssize_t count = ::pread(file, text.data(), text.size(), 0);
  pid_t pid = 0;
  if (count > 0) std::from_chars(text.data(), text.data() + count, pid);
  const bool alive = pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM);
  return alive ? pid : 0;
}

}  // namespace

std::variant<FileLock, FileLock::Holder> FileLock::try_acquire(const std::filesystem::path& path) {
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) throw_write_errno("cannot open the lock", path, errno);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return Holder{read_holder(file.get())};
    throw_errno("cannot lock", path, errno);
  }
  // For messages only: a full disk does not take the lock away.
  const std::string pid = std::to_string(::getpid()) + '\n';
  [[maybe_unused]] const bool written =
      ::ftruncate(file.get(), 0) == 0 && ::pwrite(file.get(), pid.data(), pid.size(), 0) > 0;
  return FileLock(std::move(file));
}

}  // namespace acme_agent
