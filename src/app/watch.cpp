#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/log.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/folder_watch.hpp>
#include <acme_agent/sys/signals.hpp>

#include "commands.hpp"
#include "wiring.hpp"

namespace acme_agent {
namespace {

using namespace std::chrono_literals;

constexpr Duration look_every = 60s;  ///< Where nobody tells that something has changed.
constexpr Duration settling = 300ms;  ///< Who copies certificate and key does so one after the other.
constexpr int longest_settling = 20;  ///< Times that.

Duration wait_after(int failures) {
  return std::min<Duration>(2s * (1 << std::min(failures - 1, 10)), 5min);
}

/// Tells a broker whenever the files of a folder have changed, until it is done.
class Watch {
 public:
  Watch(std::filesystem::path folder, std::vector<std::unique_ptr<Reloader>> reloaders, Log& log, std::stop_token stop)
      : folder_(std::move(folder)),
        reloaders_(std::move(reloaders)),
        log_(log),
        stop_(std::move(stop)),
        changes_(folder_),
        done_(changes_.stamp()) {}

  /// Never returns. Throws Stopped.
  void run() {
    announce();
    std::string tried = done_;
    int failures = 0;
    Duration next_try{0};
    while (true) {
      changes_.wait(failures == 0 ? look_every : std::min(look_every, next_try - clock_.uptime()), stop_);
      const std::string now = settled();
      if (now != tried) failures = 0;
      tried = now;
      if (now == done_ || now.empty() || (failures > 0 && clock_.uptime() < next_try)) continue;
      if (tell(failures)) {
        done_ = now;
        failures = 0;
      } else {
        next_try = clock_.uptime() + wait_after(++failures);
      }
    }
  }

 private:
  void announce() {
    std::vector<std::string> names;
    for (const auto& reloader : reloaders_) names.push_back(printable(reloader->describe(), 200));
    log_.info("watching " + printable(folder_.native()) + " for " + join(names));
    if (done_.empty()) log_.warning("no file is seen in " + printable(folder_.native()) + " yet");
  }

  std::string settled() {
    std::string stamp = changes_.stamp();
    if (stamp == done_) return stamp;
    for (int i = 0; i < longest_settling; ++i) {
      if (!clock_.sleep_for(settling, stop_)) throw Stopped{};
      std::string next = changes_.stamp();
      if (next == stamp) break;
      stamp = std::move(next);
    }
    return stamp;
  }

  /// All, also after a failure; whether there was none.
  bool tell(int failures) {
    const Deployed deployed{folder_.filename(), {}, folder_};
    bool well = true;
    for (const auto& reloader : reloaders_) {
      const std::string what = printable(reloader->describe(), 200);
      try {
        const bool told = reloader->reload(deployed, stop_);
        log_.info("the files have changed: " + what + (told ? " was told" : " does not run, so nobody was told"));
      } catch (const Error& error) {
        well = false;
        log_.warning("the files have changed, but " + what + " failed: " + error.message() + "; next try in " +
                     describe(wait_after(failures + 1)));
      }
    }
    return well;
  }

  const std::filesystem::path folder_;
  const std::vector<std::unique_ptr<Reloader>> reloaders_;
  Log& log_;
  const std::stop_token stop_;
  SystemClock clock_;
  FolderWatch changes_;
  std::string done_;  ///< What the broker has read, as far as we know.
};

std::filesystem::path existing_folder(const std::string& text) {
  const std::filesystem::path folder = std::filesystem::absolute(text).lexically_normal();
  if (!std::filesystem::is_directory(folder))
    throw Error(Remedy::ask_operator, "there is no folder " + printable(folder.native()));
  return folder.has_filename() ? folder : folder.parent_path();
}

}  // namespace

int watch(const CommandLine& command_line, const Environment& environment) {
  const Configuration configuration = load_configuration(command_line, environment);
  std::filesystem::path folder = existing_folder(command_line.arguments.front());
  const std::vector<std::string> command(command_line.arguments.begin() + 1, command_line.arguments.end());

  const SystemProcesses processes;
  std::vector<std::unique_ptr<Reloader>> reloaders;
  if (!command.empty()) {
    reloaders.push_back(make_reloader({ReloadRule::Kind::command, "", command}, processes));
  } else {
    for (const ReloadRule& rule : configuration.defaults.reload) reloaders.push_back(make_reloader(rule, processes));
  }
  if (reloaders.empty())
    throw Error(Remedy::ask_operator, "there is nobody to tell: give '-- COMMAND...', or another --reload than none");

  block_signals();
  SystemClock clock;
  Log log(configuration.log_level, configuration.log_format, clock);
  std::stop_source stop;
  const SignalThread signals([&stop](int number) {
    if (number == SIGTERM || number == SIGINT) stop.request_stop();
  });
  try {
    Watch(std::move(folder), std::move(reloaders), log, stop.get_token()).run();
  } catch (const Stopped&) {
  }
  return exit_ok;
}

}  // namespace acme_agent
