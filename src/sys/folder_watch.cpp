#include <errno.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <acme_agent/base/entries.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/sys/folder_watch.hpp>

#include "event.hpp"

namespace acme_agent {

namespace fs = std::filesystem;

namespace {

/// What the agent puts into a broker's folder; others than its owner may pass it, but not list it.
constexpr const char* usual_names[] = {"cert.pem", "chain.pem", "combined.pem", "fullchain.pem", "privkey.pem"};
constexpr const char* switched_link = "..data";

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const fs::path& entry : entries_of(folder, error))
    if (!entry.filename().string().starts_with('.')) files.push_back(entry);
  if (error == std::errc::permission_denied)
    for (const char* name : usual_names) files.push_back(folder / name);
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

FolderWatch::FolderWatch(fs::path folder)
    : folder_(std::move(folder)), inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  arm();
}

std::string FolderWatch::stamp() const {
  std::string stamp;
  for (const fs::path& file : files_in(folder_)) {
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    stamp += file.filename().string() + ":" + std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) +
             ":" + std::to_string(status.st_ctim.tv_sec) + "." + std::to_string(status.st_ctim.tv_nsec) + "\n";
  }
  return stamp;
}

void FolderWatch::wait(Duration longest, const std::stop_token& stop) {
  const StopEvent stopped(stop);
  std::array<pollfd, 2> waiting = {{{stopped.descriptor(), POLLIN, 0}, {inotify_.get(), POLLIN, 0}}};
  ::poll(waiting.data(), waiting.size(), static_cast<int>(std::clamp<Duration::rep>(longest.count(), 0, 3'600'000)));
  if (stop.stop_requested()) throw Stopped{};
  alignas(inotify_event) std::array<char, 4096> events;
  while (::read(inotify_.get(), events.data(), events.size()) > 0) {
  }
  arm();
}

/// Again and again, as another folder may have taken the place of the one that was watched.
void FolderWatch::arm() {
  constexpr std::uint32_t changes =
      IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
  if (::inotify_add_watch(inotify_.get(), folder_.c_str(), changes | IN_ONLYDIR) >= 0 || errno != EACCES) return;
  // A link may be watched by everybody who may pass its folder.
  ::inotify_add_watch(inotify_.get(), (folder_ / switched_link).c_str(), changes | IN_DONT_FOLLOW);
}

}  // namespace acme_agent
