#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <system_error>

#include <acme_agent/base/entries.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/processes.hpp>

#include "errno_text.hpp"

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest_name = 15;  // TASK_COMM_LEN

/// What a file of /proc says; empty if it is gone or not for us.
std::string read_proc(const fs::path& path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text, '\0');
  return text;
}

fs::path folder_of(pid_t pid) {
  return fs::path("/proc") / std::to_string(pid);
}

/// The pids in /proc, in order.
std::vector<pid_t> all_pids() {
  std::vector<pid_t> pids;
  std::error_code error;
  for (const fs::path& entry : entries_of("/proc", error)) {
    const std::string name = entry.filename();
    pid_t pid = 0;
    const auto [last, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (bad == std::errc() && last == name.data() + name.size()) pids.push_back(pid);
  }
  std::sort(pids.begin(), pids.end());
  return pids;
}

// Only who may trace a process may follow the links in /proc/PID/ns and /proc/PID/root: these are judged by what
// everybody may read. Where even that is hidden, they are taken for ours.

bool in_our_user_namespace(pid_t pid) {
  const std::string theirs = read_proc(folder_of(pid) / "uid_map");
  return theirs.empty() || theirs == read_proc("/proc/self/uid_map");
}

bool has_shell(uid_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(16384);
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return false;
  const fs::path shell = fs::path(entry.pw_shell).filename();
  return shell != "nologin" && shell != "false";
}

/// Services have a user below 1000, one without a shell, or one that only their container knows; and nobody but root
/// makes a user namespace with users below 1000 but his own.
bool is_of_other_person(const Process& process) {
  constexpr uid_t first_person = 1000;
  return process.uid >= first_person && process.uid != ::geteuid() &&
         (has_shell(process.uid) || !in_our_user_namespace(process.pid));
}

/// File system and folder of what a process sees as /; empty if that is no mount.
std::optional<std::string> root_of(const fs::path& process) {
  std::ifstream lines(process / "mountinfo");
  if (!lines) return std::nullopt;
  std::string root;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, folder, place;
    fields >> id >> parent >> device >> folder >> place;
    if (place == "/") root = device + ' ' + folder;  // The last covers the others.
  }
  return root;
}

/// Also from a mount namespace of its own, if that is no more than a sandbox of systemd's.
bool has_our_root(pid_t pid) {
  const std::optional<std::string> theirs = root_of(folder_of(pid));
  return !theirs || theirs == root_of("/proc/self");
}

TimePoint time_of_boot() {
  timespec since_boot{};
  ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
  const auto uptime = std::chrono::seconds(since_boot.tv_sec) + std::chrono::nanoseconds(since_boot.tv_nsec);
  return SystemClock().now() - std::chrono::round<Duration>(uptime);
}

/// proc_pid_stat(5); false if the process is gone or a zombie.
bool read_stat(Process& process) {
  const std::string text = read_proc(folder_of(process.pid) / "stat");
  const std::size_t open = text.find('(');
  const std::size_t close = text.rfind(')');  // The name itself may hold anything.
  if (open == std::string::npos || close == std::string::npos) return false;
  process.name = text.substr(open + 1, close - open - 1);

  std::istringstream fields(text.substr(close + 1));
  std::string state;
  fields >> state >> process.parent;
  std::string skipped;
  for (int field = 5; field < 22; ++field) fields >> skipped;
  fields >> process.start_time;
  const auto ticks_per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  process.started = time_of_boot() + Duration(process.start_time * 1000 / ticks_per_second);
  return fields && state != "Z" && state != "X";
}

/// proc_pid_status(5)
void read_status(Process& process) {
  std::istringstream lines(read_proc(folder_of(process.pid) / "status"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string key;
    fields >> key;
    std::uint64_t real = 0;
    if (key == "Uid:") fields >> real >> process.uid;
    if (key == "Gid:") fields >> real >> process.gid;
    if (key == "Groups:") process.groups.assign(std::istream_iterator<gid_t>(fields), {});
    if (key == "SigIgn:" || key == "SigCgt:") {
      std::uint64_t signals = 0;
      fields >> std::hex >> signals;
      constexpr std::uint64_t hangup = 1U << (SIGHUP - 1);
      process.survives_hangup = process.survives_hangup || (signals & hangup) != 0;
    }
    if (key == "CapEff:") {
      std::uint64_t capabilities = 0;
      fields >> std::hex >> capabilities;
      constexpr std::uint64_t chown = 1U << 0, dac_override = 1U << 1, dac_read_search = 1U << 2;
      process.gives_files_away = (capabilities & chown) != 0;
      process.reads_everything = (capabilities & (dac_override | dac_read_search)) != 0;
    }
  }
}

Error gone(const Process& process) {
  return Error(Remedy::retry, describe(process) + " has ended meanwhile");
}

/// The inodes of the sockets that listen on `port` by one of /proc/net/tcp and tcp6.
std::set<std::string> listening_inodes(const fs::path& table, std::uint16_t port) {
  std::set<std::string> inodes;
  std::istringstream lines(read_proc(table));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::vector<std::string> field{std::istream_iterator<std::string>(fields), {}};
    if (field.size() < 10 || field[3] != "0A") continue;  // TCP_LISTEN
    const std::size_t colon = field[1].rfind(':');
    unsigned local_port = 0;
    std::from_chars(field[1].data() + colon + 1, field[1].data() + field[1].size(), local_port, 16);
    if (local_port == port) inodes.insert("socket:[" + field[9] + "]");
  }
  return inodes;
}

bool has_one_open(pid_t pid, const std::set<std::string>& sockets) {
  std::error_code error;
  for (const fs::path& entry : entries_of(folder_of(pid) / "fd", error)) {
    std::error_code closed;
    if (sockets.contains(fs::read_symlink(entry, closed).native())) return true;
  }
  return false;
}

}  // namespace

std::optional<Process> SystemProcesses::find(pid_t pid) const {
  Process process;
  process.pid = pid;
  if (pid <= 0 || !read_stat(process)) return std::nullopt;
  read_status(process);
  // Within a user namespace of its own its powers do not reach our files.
  process.reads_everything = process.reads_everything && in_our_user_namespace(pid);
  process.of_other_person = is_of_other_person(process);
  process.sees_our_paths = has_our_root(pid);
  return process;
}

std::vector<Process> SystemProcesses::find(const std::string& name) const {
  std::vector<Process> found;
  for (const pid_t pid : all_pids()) {
    if (pid == ::getpid() || read_proc(folder_of(pid) / "comm") != name.substr(0, longest_name) + '\n') continue;
    if (std::optional<Process> process = find(pid)) found.push_back(std::move(*process));
  }
  return found;
}

void SystemProcesses::signal(const Process& process, int number) const {
  // A pidfd keeps meaning the process that it was opened for; kernels before 5.3 and strict sandboxes have none.
  const FileDescriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  if (const std::optional<Process> now = find(process.pid); !now || !(*now == process)) throw gone(process);
  const long result =
      pidfd.valid() ? ::syscall(SYS_pidfd_send_signal, pidfd.get(), number, nullptr, 0) : ::kill(process.pid, number);
  if (result == 0) return;
  if (errno == ESRCH) throw gone(process);
  throw Error(Remedy::ask_operator, "user " + std::to_string(::geteuid()) + " may not signal " + describe(process) +
                                        ", which runs as user " + std::to_string(process.uid) + ": " +
                                        errno_text(errno));
}

std::string describe(const Process& process) {
  return printable(process.name) + " (pid " + std::to_string(process.pid) + ")";
}

std::optional<Process> port_holder(std::uint16_t port) {
  std::set<std::string> sockets = listening_inodes("/proc/net/tcp", port);
  sockets.merge(listening_inodes("/proc/net/tcp6", port));
  if (sockets.empty()) return std::nullopt;
  for (const pid_t pid : all_pids()) {
    if (!has_one_open(pid, sockets)) continue;
    if (std::optional<Process> holder = SystemProcesses().find(pid)) return holder;
  }
  return std::nullopt;
}

std::string describe_port_holder(std::uint16_t port) {
  const std::optional<Process> holder = port_holder(port);
  return holder ? describe(*holder) : "";
}

}  // namespace acme_agent
