#include <errno.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <deque>
#include <iomanip>
#include <sstream>
#include <system_error>

#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/processes.hpp>

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

constexpr int most_links = 40;  // As the kernel counts.

bool has_acl(const fs::path& path) {
  return ::getxattr(path.c_str(), "system.posix_acl_access", nullptr, 0) > 0;
}

/// Owner, group or the rest: the first that matches decides, even if the next would give more.
bool allows(const Process& reader, const struct stat& status, mode_t permission) {
  if (reader.uid == status.st_uid) return (status.st_mode & (permission << 6)) != 0;
  const bool in_group = reader.gid == status.st_gid ||
                        std::find(reader.groups.begin(), reader.groups.end(), status.st_gid) != reader.groups.end();
  return (status.st_mode & (in_group ? permission << 3 : permission)) != 0;
}

bool is_below(const fs::path& path, const fs::path& root) {
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

std::string refusal(const Process& reader, std::string_view what, const fs::path& path, const struct stat& status) {
  std::ostringstream text;
  text << "user " << reader.uid << " may not " << what << ' ' << printable(path.native()) << " (it belongs to "
       << status.st_uid << ':' << status.st_gid << ", mode 0" << std::oct << (status.st_mode & 07777) << ')';
  return text.str();
}

}  // namespace

std::optional<std::string> why_unreadable(const Process& reader, const fs::path& path, const fs::path& visible_root) {
  std::error_code error;
  const fs::path root = reader.sees_our_paths ? fs::path() : fs::weakly_canonical(visible_root, error);
  const auto counts = [&](const fs::path& folder) { return reader.sees_our_paths || is_below(folder, root); };

  const fs::path absolute = fs::absolute(path, error);
  std::deque<fs::path> rest(absolute.begin(), absolute.end());
  fs::path here = "/";
  int links = 0;
  while (true) {
    struct stat status {};
    if (::lstat(here.c_str(), &status) != 0) {
      if (errno == ENOENT) return printable(here.native()) + " does not exist";
      return std::nullopt;  // Not for us to see: then we cannot say that the reader does not.
    }
    if (S_ISLNK(status.st_mode)) {
      if (++links > most_links) return printable(path.native()) + " leads through too many symbolic links";
      const fs::path target = fs::read_symlink(here, error);
      rest.insert(rest.begin(), target.begin(), target.end());
      here = here.parent_path();
      continue;
    }
    const bool restricted = counts(here) && !reader.reads_everything && !has_acl(here);
    while (!rest.empty() && (rest.front().empty() || rest.front() == ".")) rest.pop_front();
    if (rest.empty()) {
      if (restricted && !allows(reader, status, S_IROTH)) return refusal(reader, "read", here, status);
      return std::nullopt;
    }
    if (!S_ISDIR(status.st_mode)) return printable(here.native()) + " is not a folder";
    if (restricted && !allows(reader, status, S_IXOTH)) return refusal(reader, "enter", here, status);
    here = rest.front() == ".." ? here.parent_path() : here / rest.front();
    rest.pop_front();
  }
}

}  // namespace acme_agent
