#include <signal.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/reloader.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

std::string pids_of(const std::vector<Process>& processes) {
  std::vector<std::string> pids;
  for (const Process& process : processes) pids.push_back(std::to_string(process.pid));
  return join(pids);
}

/// A broker that is just starting has no handler yet, and SIGHUP would end it; it reads the new files anyway.
void hang_up(const Processes& processes, const Process& process) {
  if (!process.survives_hangup) {
    throw Error(Remedy::retry, printable(process.name) + " (pid " + std::to_string(process.pid) +
                                   ") does not handle SIGHUP, which would end it: is it just starting?");
  }
  processes.signal(process, SIGHUP);
}

class ProcessReloader final : public Reloader {
 public:
  ProcessReloader(std::string name, const Processes& processes) : name_(std::move(name)), processes_(processes) {}

  std::string describe() const override { return "process:" + name_; }

  std::vector<Process> targets() const override {
    const std::vector<Process> all = processes_.find(name_);
    std::vector<Process> parents;
    for (const Process& process : all) {
      const bool child =
          std::any_of(all.begin(), all.end(), [&](const Process& other) { return other.pid == process.parent; });
      if (!child) parents.push_back(process);
    }
    const auto of_other_person = [](const Process& process) { return process.of_other_person; };
    if (!std::all_of(parents.begin(), parents.end(), of_other_person)) std::erase_if(parents, of_other_person);
    if (parents.size() > 1) {
      throw Error(Remedy::ask_operator, "several processes are called " + name_ + " (pids " + pids_of(parents) +
                                            "): name one of them with --reload pidfile:PATH");
    }
    return parents;
  }

  bool reload(const Deployed&, const std::stop_token&) override {
    const std::vector<Process> told = targets();
    for (const Process& process : told) hang_up(processes_, process);
    return !told.empty();
  }

 private:
  const std::string name_;
  const Processes& processes_;
};

class PidfileReloader final : public Reloader {
 public:
  PidfileReloader(fs::path path, const Processes& processes) : path_(std::move(path)), processes_(processes) {}

  std::string describe() const override { return "pidfile:" + path_.string(); }

  std::vector<Process> targets() const override {
    const std::optional<Process> writer = find_writer();
    return writer ? std::vector{*writer} : std::vector<Process>{};
  }

  bool reload(const Deployed&, const std::stop_token&) override {
    const std::optional<Process> writer = find_writer();
    if (!writer) {
      throw Error(Remedy::retry,
                  "there is no " + path_.string() + ": does the broker run, and does it write this file?");
    }
    hang_up(processes_, *writer);
    return true;
  }

 private:
  /// The process that wrote the file; nothing if there is no file.
  std::optional<Process> find_writer() const {
    const std::optional<Secret> content = read_file(path_, 64);
    if (!content) return std::nullopt;
    const std::string_view text = trim(content->reveal());
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (error != std::errc() || end != text.data() + text.size() || pid <= 0) {
      throw Error(Remedy::ask_operator, path_.string() + " holds no process number but \"" + printable(text) + "\"");
    }
    const std::optional<Process> process = processes_.find(pid);
    if (!process) {
      throw Error(Remedy::retry,
                  path_.string() + " is stale: no process " + std::to_string(pid) + " runs; is the broker down?");
    }
    // The clocks of files and of processes are coarse.
    if (process->started > written() + std::chrono::seconds(1)) {
      throw Error(Remedy::ask_operator,
                  path_.string() + " is stale: process " + std::to_string(pid) + " (" + printable(process->name) +
                      ") began after the file was written (or the clock was set meanwhile): restart the broker, or use "
                      "--reload process:NAME");
    }
    return process;
  }

  TimePoint written() const {
    std::error_code error;
    const fs::file_time_type time = fs::last_write_time(path_, error);
    if (error) throw_errno("cannot read", path_, error.value());
    return std::chrono::floor<Duration>(fs::file_time_type::clock::to_sys(time));
  }

  const fs::path path_;
  const Processes& processes_;
};

class CommandReloader final : public Reloader {
 public:
  CommandReloader(std::vector<std::string> argv, Duration timeout, const Processes& processes)
      : argv_(std::move(argv)), timeout_(timeout), processes_(processes) {}

  std::string describe() const override {
    std::string text = "command:";
    for (const std::string& word : argv_) text += (&word == &argv_.front() ? "" : " ") + word;
    return text;
  }

  bool reload(const Deployed& deployed, const std::stop_token& stop) override {
    std::string domains;
    for (const std::string& domain : deployed.domains) domains += (domains.empty() ? "" : " ") + domain;
    const std::vector<std::string> environment = {
        "CERTIFICATE_NAME=" + deployed.name,
        "CERTIFICATE_DOMAINS=" + domains,
        "CERTIFICATE_DIR=" + deployed.folder.string(),
        // What hooks written for certbot look at.
        "RENEWED_DOMAINS=" + domains,
        "RENEWED_LINEAGE=" + deployed.folder.string(),
    };
    const CommandResult result = processes_.run(argv_, environment, timeout_, stop);
    if (result.timed_out) {
      throw Error(Remedy::ask_operator, "it was ended since it took longer than " + acme_agent::describe(timeout_) +
                                            last_words(result.output));
    }
    if (result.exit_code != 0) {
      throw Error(Remedy::ask_operator,
                  "it ended with exit code " + std::to_string(result.exit_code) + last_words(result.output));
    }
    return true;
  }

 private:
  static std::string last_words(std::string_view output) {
    const std::vector<std::string> lines = split(output, '\n');
    if (lines.empty()) return ", saying nothing";
    const std::string before_last = lines.size() > 1 ? printable(lines[lines.size() - 2], 200) + " / " : "";
    return ", saying \"" + before_last + printable(lines.back(), 200) + "\"";
  }

  const std::vector<std::string> argv_;
  const Duration timeout_;
  const Processes& processes_;
};

}  // namespace

std::unique_ptr<Reloader> reload_process(std::string name, const Processes& processes) {
  return std::make_unique<ProcessReloader>(std::move(name), processes);
}

std::unique_ptr<Reloader> reload_pidfile(fs::path path, const Processes& processes) {
  return std::make_unique<PidfileReloader>(std::move(path), processes);
}

std::unique_ptr<Reloader> reload_command(std::vector<std::string> argv, Duration timeout, const Processes& processes) {
  return std::make_unique<CommandReloader>(std::move(argv), timeout, processes);
}

}  // namespace acme_agent
