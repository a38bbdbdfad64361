#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <acme_agent/base/entries.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/store/state.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {
namespace {

void check_folder(const std::filesystem::path& path) {
  std::error_code none;
  const std::filesystem::file_status status = std::filesystem::status(path, none);
  if (std::filesystem::exists(status) && !std::filesystem::is_directory(status)) {
    throw Error(Remedy::ask_operator,
                printable(path.native()) + " is not a folder: move it away, or choose another --state-dir");
  }
}

/// Root may write anywhere, but what it leaves here would be unreadable for the agent that this folder belongs to.
void check_ours(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw_errno("cannot look at", path, errno);
  if (status.st_uid == ::geteuid()) return;
  throw Error(Remedy::ask_operator,
              path.string() + " belongs to the user with the id " + std::to_string(status.st_uid) + ", and we run as " +
                  std::to_string(::geteuid()) + ": run as that user, or choose another --state-dir");
}

/// A page, as an empty file may still fit into a full file system; our own, as a second agent may start right now.
void check_writable(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / (".write-test-" + std::to_string(::getpid()));
  write_file(path, std::string(4096, '\n'), Ownership{}, Sync::none);
  ::unlink(path.c_str());
}

}  // namespace

std::vector<std::string> StateFolder::names() const {
  std::vector<std::string> names;
  std::error_code failed;
  for (const std::filesystem::path& entry : entries_of(folder_ / "certificates", failed)) {
    std::error_code unseen;
    if (std::filesystem::is_directory(entry, unseen)) names.push_back(entry.filename());
  }
  if (failed == std::errc::permission_denied)
    throw Error(Remedy::ask_operator, "may not read " + folder_.string() + ": run as the agent's user or as root");
  std::sort(names.begin(), names.end());
  return names;
}

void StateFolder::create() const {
  try {
    for (const std::filesystem::path& open : {folder_, folder_ / "live"}) {
      check_folder(open);
      make_folder(open, 0711);
    }
    for (const std::filesystem::path& closed : {folder_ / "accounts", folder_ / "certificates"}) {
      check_folder(closed);
      make_folder(closed, 0700);
      check_ours(closed);
    }
    check_writable(folder_);
  } catch (const Error& error) {
    throw error.while_doing("the state folder cannot be used");
  }
}

}  // namespace acme_agent
