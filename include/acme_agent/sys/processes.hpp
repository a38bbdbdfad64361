#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/secret.hpp>

namespace acme_agent {

/// A running process, as /proc shows it.
struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  std::string name;               ///< comm: at most 15 characters.
  std::uint64_t start_time = 0;   ///< Ticks since boot; with the pid it names one process until the next boot.
  TimePoint started;              ///< start_time by the wall clock as it is now, to about 10 ms.
  uid_t uid = 0;                  ///< Effective.
  gid_t gid = 0;                  ///< Effective.
  std::vector<gid_t> groups;      ///< Supplementary.
  bool reads_everything = false;  ///< Has CAP_DAC_OVERRIDE or CAP_DAC_READ_SEARCH.
  bool gives_files_away = false;  ///< Has CAP_CHOWN.
  bool survives_hangup = false;   ///< Catches or ignores SIGHUP, which ends every other process.
  bool of_other_person = false;   ///< Anybody who may log in here can have named it so, and it is not our own user.
  bool sees_our_paths = true;     ///< Has our root folder, as far as we may know.

  bool operator==(const Process& other) const { return pid == other.pid && start_time == other.start_time; }
};

struct CommandResult {
  int exit_code = 0;                 ///< 128 + signal if a signal ended it.
  bool timed_out = false;            ///< It was ended, with its whole process group, since it took too long.
  std::string output = {};           ///< Standard output and error, the last 4 KiB.
  std::string standard_output = {};  ///< That alone, the last 4 KiB.
};

/// The processes of this machine: what brokers and hooks are to us. A seam, so that tests can record and play.
class Processes {
 public:
  virtual ~Processes() = default;

  /// All processes with this comm (compared in its 15 characters), without zombies and ourselves, by pid.
  virtual std::vector<Process> find(const std::string& name) const = 0;
  virtual std::optional<Process> find(pid_t pid) const = 0;

  /// Sends a signal to exactly this process. Throws Error: retry if it is gone, ask_operator if we may not.
  virtual void signal(const Process& process, int number) const = 0;

  /// Runs `argv` (argv[0] is looked up in PATH) without a shell: no standard input, a process group of its own,
  /// `environment` ("NAME=value") added to ours, descriptors and signal mask clean.
  /// Throws Error (ask_operator) if it cannot be started and Stopped (after ending it) on a stop.
  virtual CommandResult run(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                            Duration timeout, const std::stop_token& stop) const = 0;
};

class SystemProcesses final : public Processes {
 public:
  std::vector<Process> find(const std::string& name) const override;
  std::optional<Process> find(pid_t pid) const override;
  void signal(const Process& process, int number) const override;
  CommandResult run(const std::vector<std::string>& argv, const std::vector<std::string>& environment, Duration timeout,
                    const std::stop_token& stop) const override;
};

/// Why `reader` could not open `path` for reading ("user 108 may not enter /etc/private"), judged by owner, group and
/// mode of the file and of every folder above it, links followed; nothing if it can. Where the reader sees other paths
/// than we do (a container), only folders below `visible_root` count. A file with an ACL counts as readable.
std::optional<std::string> why_unreadable(const Process& reader, const std::filesystem::path& path,
                                          const std::filesystem::path& visible_root);

/// "mosquitto (pid 812)"
std::string describe(const Process& process);

/// The process that listens on this TCP port, where the system lets us see.
std::optional<Process> port_holder(std::uint16_t port);

/// The same in words; empty for none.
std::string describe_port_holder(std::uint16_t port);

}  // namespace acme_agent
