#include "new_files.hpp"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw Error(Remedy::ask_operator, message);
}

/// A link is seen as one only where no slash follows it.
std::filesystem::path without_final_slash(const std::filesystem::path& folder) {
  const std::filesystem::path path = std::filesystem::absolute(folder).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

std::optional<id_t> number_in(const char* variable) {
  const char* const value = ::getenv(variable);
  if (value == nullptr) return std::nullopt;
  const std::string_view text(value);
  id_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  // The largest of all would change nothing.
  if (error != std::errc() || end != text.data() + text.size() || number == static_cast<id_t>(-1)) return std::nullopt;
  return number;
}

/// Whom root works for.
Ownership caller_of_root() {
  const std::optional<id_t> uid = number_in("SUDO_UID");
  const std::optional<id_t> gid = number_in("SUDO_GID");
  return uid && gid ? Ownership{*uid, *gid} : Ownership{0, 0};
}

}  // namespace

void place_file(const std::filesystem::path& file, std::string_view content, mode_t mode) {
  const std::optional<Secret> lies = read_file(file);
  if (lies && lies->reveal() == content) return;
  if (lies)
    throw Error(Remedy::ask_operator,
                printable(file.native()) + " is there already, and it is another one: take it away first");
  create_file(file, content, {{}, {}, mode});
}

NewFolder::NewFolder(const std::filesystem::path& folder, const std::filesystem::path& state)
    : path_(without_final_slash(folder)), made_(::mkdir(path_.c_str(), 0700) == 0) {
  if (!made_ && errno != EEXIST) throw_errno("cannot make the folder", path_, errno);
  folder_.reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder_.valid() && (errno == ENOTDIR || errno == ELOOP))
    refuse(printable(path_.native()) + " is a file or a link: give a folder that is empty or new");
  if (!folder_.valid()) throw_errno("cannot open the folder", path_, errno);
  std::error_code failed;
  const bool empty = std::filesystem::is_empty(path_, failed);
  if (failed) throw_errno("cannot look into", path_, failed.value());
  if (!empty) refuse("something lies in " + printable(path_.native()) + " already: give a folder that is empty or new");
  // The umask may have narrowed it.
  if (made_ && ::fchmod(folder_.get(), 0700) != 0) throw_errno("cannot set the mode of", path_, errno);
  if (made_) sync_folder(path_.parent_path());
  if (::geteuid() != 0) return;

  owner_ = caller_of_root();
  struct stat worker {};
  if (::stat(state.c_str(), &worker) != 0) worker = {};  // It is going to be root's.
  if (!made_ && (owner_.uid != 0U || worker.st_uid != 0))
    refuse(printable(path_.native()) + " is there already: as root, give a folder that is new, as it is given away");
  if (made_ && ::fchown(folder_.get(), worker.st_uid, worker.st_gid) != 0)
    throw_errno("cannot give away", path_, errno);
}

void NewFolder::add(const std::string& name, std::string_view content) const {
  create_file(path_ / name, content, owner_);
}

void NewFolder::hand_over() const {
  if (!made_ || !owner_.uid) return;
  if (::fchown(folder_.get(), *owner_.uid, *owner_.gid) != 0) throw_errno("cannot give away", path_, errno);
}

}  // namespace acme_agent
