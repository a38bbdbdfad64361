#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <acme_agent/sys/identity.hpp>

#include "capabilities.hpp"
#include "errno_text.hpp"

namespace acme_agent {
namespace {

constexpr std::uint64_t besides_writing =
    bit(CAP_DAC_READ_SEARCH) | bit(CAP_CHOWN) | bit(CAP_KILL) | bit(CAP_NET_BIND_SERVICE);

struct User {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  bool known = false;
};

User owner_of(const struct stat& folder) {
  if (const passwd* entry = ::getpwuid(folder.st_uid)) return {entry->pw_name, entry->pw_uid, entry->pw_gid, true};
  return {std::to_string(folder.st_uid), folder.st_uid, folder.st_gid};  // of a container, perhaps
}

bool become(const User& user) {
  const bool groups = user.known ? ::initgroups(user.name.c_str(), user.gid) == 0 : ::setgroups(0, nullptr) == 0;
  if (!groups || ::prctl(PR_SET_KEEPCAPS, 1) != 0) return false;
  if (::setresgid(user.gid, user.gid, user.gid) != 0 || ::setresuid(user.uid, user.uid, user.uid) != 0) return false;
  ::prctl(PR_SET_KEEPCAPS, 0);
  return keep_capabilities(besides_writing);
}

bool is(const User& user) {
  uid_t uids[3] = {};
  gid_t gids[3] = {};
  ::getresuid(&uids[0], &uids[1], &uids[2]);
  ::getresgid(&gids[0], &gids[1], &gids[2]);
  for (int i = 0; i < 3; ++i)
    if (uids[i] != user.uid || gids[i] != user.gid) return false;
  return (capabilities() & ~besides_writing) == 0;
}

}  // namespace

std::optional<std::string> become_owner_of(const std::filesystem::path& folder) {
  struct stat status {};
  if (::geteuid() != 0 || ::stat(folder.c_str(), &status) != 0 || status.st_uid == 0) return std::nullopt;
  const User owner = owner_of(status);
  errno = 0;
  if (!become(owner) || !is(owner))
    throw Error(Remedy::ask_operator, "cannot become the user " + owner.name + ", whom " + folder.string() +
                                          " belongs to: " + errno_text(errno) + "; run as that user");
  return owner.name;
}

}  // namespace acme_agent
