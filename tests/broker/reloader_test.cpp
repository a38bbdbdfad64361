#include <doctest/doctest.h>
#include <signal.h>

#include <chrono>
#include <string>

#include <acme_agent/base/error.hpp>
#include <acme_agent/broker/reloader.hpp>
#include <acme_agent/sys/file.hpp>

#include "support/emulation.hpp"
#include "support/recording_processes.hpp"
#include "support/temp_dir.hpp"

namespace acme_agent::test {
namespace {

using namespace std::chrono_literals;

const Deployed deployed{"mqtt.example", {"mqtt.example", "b.example"}, "/srv/certs"};

Error error_of(Reloader& reloader) {
  try {
    reloader.reload(deployed, {});
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("no error");
}

bool says(const Error& error, const std::string& words) {
  return error.message().find(words) != std::string::npos;
}

TEST_CASE("the one process of a name is told with SIGHUP") {
  RecordingProcesses processes;
  processes.start("mosquitto", 812);
  processes.start("nginx", 900);
  const auto reloader = reload_process("mosquitto", processes);
  CHECK(reloader->describe() == "process:mosquitto");
  CHECK(reloader->targets().size() == 1);
  CHECK(reloader->reload(deployed, {}));
  CHECK(processes.signals == std::vector<RecordingProcesses::Signal>{{812, SIGHUP}});
}

TEST_CASE("a broker that is just starting would be ended by SIGHUP, and is told later") {
  const TempDir dir;
  RecordingProcesses processes;
  processes.start("mosquitto", 812).survives_hangup = false;
  write_file(dir / "pid", "812\n", {});
  for (const auto& reloader : {reload_process("mosquitto", processes), reload_pidfile(dir / "pid", processes)}) {
    CHECK(error_of(*reloader).remedy() == Remedy::retry);
    CHECK(says(error_of(*reloader), "mosquitto (pid 812) does not handle SIGHUP"));
    CHECK(processes.signals.empty());
    CHECK(reloader->targets().size() == 1);
  }
}

TEST_CASE("that no process of the name runs is no error, but nobody was told") {
  RecordingProcesses processes;
  const auto reloader = reload_process("mosquitto", processes);
  CHECK(reloader->targets().empty());
  CHECK_FALSE(reloader->reload(deployed, {}));
}

TEST_CASE("of a broker with children of its own name only the parent is told") {
  RecordingProcesses processes;
  processes.start("broker", 20, 10);
  processes.start("broker", 10, 1);
  processes.start("broker", 21, 20);
  const auto reloader = reload_process("broker", processes);
  CHECK(reloader->reload(deployed, {}));
  CHECK(processes.signals == std::vector<RecordingProcesses::Signal>{{10, SIGHUP}});
}

TEST_CASE("a process that a person calls like the broker is told only where there is no other") {
  RecordingProcesses processes;
  processes.start("mosquitto", 700).of_other_person = true;
  const auto reloader = reload_process("mosquitto", processes);
  REQUIRE(reloader->targets().size() == 1);
  CHECK(reloader->targets()[0].pid == 700);
  processes.start("mosquitto", 812);
  CHECK(reloader->reload(deployed, {}));
  CHECK(processes.signals == std::vector<RecordingProcesses::Signal>{{812, SIGHUP}});
}

TEST_CASE("two brokers of one name are never guessed at: neither is told, and both are named") {
  RecordingProcesses processes;
  processes.start("mosquitto", 812);
  processes.start("mosquitto", 900);
  const auto reloader = reload_process("mosquitto", processes);
  CHECK_THROWS_AS(reloader->targets(), Error);
  const Error error = error_of(*reloader);
  CHECK(error.remedy() == Remedy::ask_operator);
  CHECK(says(error, "812 and 900"));
  CHECK(says(error, "pidfile:"));
  CHECK(processes.signals.empty());
}

TEST_CASE("the process whose pid is in the file is told") {
  const TempDir dir;
  RecordingProcesses processes;
  processes.start("mosquitto", 812);
  write_file(dir / "pid", "812\n", {});
  const auto reloader = reload_pidfile(dir / "pid", processes);
  CHECK(reloader->describe() == "pidfile:" + (dir / "pid").string());
  REQUIRE(reloader->targets().size() == 1);
  CHECK(reloader->targets().front().pid == 812);
  CHECK(reloader->reload(deployed, {}));
  CHECK(processes.signals == std::vector<RecordingProcesses::Signal>{{812, SIGHUP}});
}

TEST_CASE("a process that began after the pidfile was written has only inherited the number, and is left alone") {
  const TempDir dir;
  RecordingProcesses processes;
  write_file(dir / "pid", "812", {});
  processes.start("sshd", 812).started = SystemClock().now() + 5s;
  const auto reloader = reload_pidfile(dir / "pid", processes);
  CHECK_THROWS_AS(reloader->targets(), Error);
  const Error error = error_of(*reloader);
  CHECK(error.remedy() == Remedy::ask_operator);
  CHECK(says(error, "stale"));
  CHECK(says(error, "sshd"));
  CHECK(processes.signals.empty());
}

TEST_CASE("a pidfile that is missing or names nobody is tried again: the broker may come") {
  const TempDir dir;
  RecordingProcesses processes;
  const auto reloader = reload_pidfile(dir / "pid", processes);
  CHECK(reloader->targets().empty());
  CHECK(error_of(*reloader).remedy() == Remedy::retry);
  CHECK(says(error_of(*reloader), (dir / "pid").string()));
  write_file(dir / "pid", "812", {});
  CHECK(error_of(*reloader).remedy() == Remedy::retry);
  CHECK(says(error_of(*reloader), "812"));
}

TEST_CASE("a pidfile with anything but one positive number signals nobody") {
  const TempDir dir;
  RecordingProcesses processes;
  processes.start("mosquitto", 1);
  for (const char* content : {"", "\n", "-1", "0", "1 2", "0x1", "99999999999999999999", "one\x1b[2J"}) {
    CAPTURE(content);
    write_file(dir / "pid", content, {});
    const auto reloader = reload_pidfile(dir / "pid", processes);
    const Error error = error_of(*reloader);
    CHECK(error.remedy() == Remedy::ask_operator);
    CHECK_FALSE(says(error, "\x1b"));
  }
  write_file(dir / "pid", std::string(1000, '1'), {});
  CHECK_THROWS_AS(reload_pidfile(dir / "pid", processes)->reload(deployed, {}), Error);
  CHECK(processes.signals.empty());
}

TEST_CASE("a hook gets its words unsplit, and learns what it is about as from certbot") {
  RecordingProcesses processes;
  const auto reloader = reload_command({"/usr/bin/hook", "two words", "$HOME"}, 30s, processes);
  CHECK(reloader->describe() == "command:/usr/bin/hook two words $HOME");
  CHECK(reloader->targets().empty());
  CHECK(reloader->reload(deployed, {}));
  REQUIRE(processes.runs.size() == 1);
  CHECK(processes.runs[0].argv == std::vector<std::string>{"/usr/bin/hook", "two words", "$HOME"});
  CHECK(processes.runs[0].timeout == 30s);
  CHECK(processes.runs[0].environment ==
        std::vector<std::string>{"CERTIFICATE_NAME=mqtt.example", "CERTIFICATE_DOMAINS=mqtt.example b.example",
                                 "CERTIFICATE_DIR=/srv/certs", "RENEWED_DOMAINS=mqtt.example b.example",
                                 "RENEWED_LINEAGE=/srv/certs"});
}

TEST_CASE("a hook that fails is quoted with its last two lines, which cannot drive a terminal") {
  RecordingProcesses processes;
  processes.on_run = [](const auto&) {
    return CommandResult{.exit_code = 7, .output = "begin\ncopying\nno space \x1b[2J left\n\n"};
  };
  const Error error = error_of(*reload_command({"hook"}, 30s, processes));
  CHECK(error.remedy() == Remedy::ask_operator);
  CHECK(says(error, "exit code 7"));
  CHECK(says(error, "copying / no space"));
  CHECK_FALSE(says(error, "begin"));
  CHECK_FALSE(says(error, "\x1b"));
}

TEST_CASE("a hook that talks without end is quoted briefly") {
  RecordingProcesses processes;
  processes.on_run = [](const auto&) { return CommandResult{.exit_code = 1, .output = std::string(4096, 'x')}; };
  CHECK(error_of(*reload_command({"hook"}, 30s, processes)).message().size() < 600);
}

TEST_CASE("a hook that takes too long says after how long it was ended") {
  RecordingProcesses processes;
  processes.on_run = [](const auto&) { return CommandResult{.exit_code = 137, .timed_out = true, .output = ""}; };
  CHECK(says(error_of(*reload_command({"hook"}, 30s, processes)), "30 seconds"));
}

TEST_CASE("a hook that does not exist is for the operator, by name") {
  if (test::emulated()) {
    MESSAGE("skipped: emulated");
    return;
  }
  const SystemProcesses processes;
  const Error error = error_of(*reload_command({"/nonexistent/hook"}, 30s, processes));
  CHECK(error.remedy() == Remedy::ask_operator);
  CHECK(says(error, "/nonexistent/hook"));
}

TEST_CASE("a real hook's environment and output arrive") {
  const SystemProcesses processes;
  const Error error =
      error_of(*reload_command({"sh", "-c", "echo $CERTIFICATE_NAME for $RENEWED_DOMAINS; exit 3"}, 30s, processes));
  CHECK(says(error, "exit code 3"));
  CHECK(says(error, "mqtt.example for mqtt.example b.example"));
}

}  // namespace
}  // namespace acme_agent::test
