#pragma once

#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <acme_agent/sys/processes.hpp>

namespace acme_agent::test {

/// Processes that exist only on paper: a test says which run and what becomes of signals and commands, and reads what
/// was sent and started.
class RecordingProcesses final : public Processes {
 public:
  struct Signal {
    pid_t pid = 0;
    int number = 0;
    bool operator==(const Signal&) const = default;
  };
  struct Run {
    std::vector<std::string> argv;
    std::vector<std::string> environment;
    Duration timeout{0};
  };

  std::vector<Process> running;
  std::function<void(const Process& process, int number)> on_signal;
  std::function<CommandResult(const Run& run)> on_run;
  mutable std::vector<Signal> signals;
  mutable std::vector<Run> runs;

  /// A process of the user and group of this test, that began when the test did and can be told by SIGHUP.
  Process& start(const std::string& name, pid_t pid, pid_t parent = 1) {
    Process process = SystemProcesses().find(::getpid()).value();
    process.pid = pid;
    process.parent = parent;
    process.name = name;
    process.survives_hangup = true;
    running.push_back(process);
    return running.back();
  }

  void end(pid_t pid) {
    std::erase_if(running, [pid](const Process& process) { return process.pid == pid; });
  }

  std::vector<Process> find(const std::string& name) const override {
    std::vector<Process> found;
    for (const Process& process : running) {
      if (process.name == name) found.push_back(process);
    }
    return found;
  }

  std::optional<Process> find(pid_t pid) const override {
    for (const Process& process : running) {
      if (process.pid == pid) return process;
    }
    return std::nullopt;
  }

  void signal(const Process& process, int number) const override {
    signals.push_back({process.pid, number});
    if (on_signal) on_signal(process, number);
  }

  CommandResult run(const std::vector<std::string>& argv, const std::vector<std::string>& environment, Duration timeout,
                    const std::stop_token&) const override {
    runs.push_back({argv, environment, timeout});
    return on_run ? on_run(runs.back()) : CommandResult{};
  }
};

}  // namespace acme_agent::test
