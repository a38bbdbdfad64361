#include "new_files.hpp"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {

void place_file(const std::filesystem::path& file, std::string_view content, mode_t mode) {
  const std::optional<Secret> lies = read_file(file);
  if (lies && lies->reveal() == content) return;
  if (lies)
    throw Error(Remedy::ask_operator,
                printable(file.native()) + " is there already, and it is another one: take it away first");
  create_file(file, content, {{}, {}, mode});
}

void make_empty_folder(const std::filesystem::path& folder, const std::filesystem::path& state) {
  make_folder(folder, 0700);
  std::error_code failed;
  const bool empty = std::filesystem::is_empty(folder, failed);
  if (failed) throw_errno("cannot look into", folder, failed.value());
  if (!empty)
    throw Error(Remedy::ask_operator,
                "something lies in " + printable(folder.native()) + " already: give a folder that is empty or new");
  struct stat owner {};
  if (::geteuid() != 0 || ::stat(state.c_str(), &owner) != 0) return;
  if (::chown(folder.c_str(), owner.st_uid, owner.st_gid) != 0) throw_errno("cannot give away", folder, errno);
}

}  // namespace acme_agent
