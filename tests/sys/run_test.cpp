#include <doctest/doctest.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/processes.hpp>
#include <acme_agent/sys/signals.hpp>

#include "child.hpp"
#include "keep_signals.hpp"
#include "support/emulation.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;

namespace {

const SystemProcesses processes;

CommandResult shell(const std::string& script, Duration timeout = 1min, const std::stop_token& stop = {}) {
  return processes.run({"sh", "-c", script}, {}, timeout, stop);
}

bool runs(pid_t pid) {
  return processes.find(pid).has_value();
}

}  // namespace

TEST_CASE("a command's output, of both kinds, and its exit code come back") {
  const CommandResult result = shell("echo out; echo err >&2; exit 7");
  CHECK(result.output == "out\nerr\n");
  CHECK(result.standard_output == "out\n");
  CHECK(result.exit_code == 7);
  CHECK_FALSE(result.timed_out);
  CHECK(shell("true").exit_code == 0);
}

TEST_CASE("arguments reach the program as they are, without a shell") {
  CHECK(processes.run({"printf", "%s|", "a b", "$HOME", "", "*"}, {}, 1min, {}).output == "a b|$HOME||*|");
}

TEST_CASE("a command that a signal ended has the exit code of a shell") {
  CHECK(shell("kill -TERM $$").exit_code == 128 + SIGTERM);
}

TEST_CASE("a command that reads finds the end of its input at once") {
  CHECK(processes.run({"cat"}, {}, 1min, {}).exit_code == 0);
}

TEST_CASE("the environment is ours with what is added, which replaces") {
  ::setenv("ACME_AGENT_TEST_OURS", "ours", 1);
  ::setenv("ACME_AGENT_TEST_REPLACED", "old", 1);
  const CommandResult result =
      processes.run({"sh", "-c", "echo $ACME_AGENT_TEST_OURS $ACME_AGENT_TEST_REPLACED $ACME_AGENT_TEST_ADDED"},
                    {"ACME_AGENT_TEST_REPLACED=new", "ACME_AGENT_TEST_ADDED=a b"}, 1min, {});
  ::unsetenv("ACME_AGENT_TEST_OURS");
  ::unsetenv("ACME_AGENT_TEST_REPLACED");
  CHECK(result.output == "ours new a b\n");
}

TEST_CASE("of a long output the last 4 KiB are kept") {
  const CommandResult result = shell("i=0; while [ $i -lt 20000 ]; do echo line$i; i=$((i+1)); done");
  CHECK(result.exit_code == 0);
  CHECK(result.output.size() == 4096);
  CHECK(result.output.ends_with("line19998\nline19999\n"));
}

TEST_CASE("a command has clean signals, descriptors of its own only, and a session without a terminal") {
  if (test::emulated()) {
    MESSAGE("skipped: emulated");
    return;
  }
  const test::KeepSignals signals;
  block_signals();
  const FileDescriptor leaky(::fcntl(::open("/dev/null", O_RDONLY | O_CLOEXEC), F_DUPFD, 100));
  REQUIRE(leaky.get() >= 100);
  const CommandResult masks = processes.run({"grep", "-E", "SigBlk|SigIgn", "/proc/self/status"}, {}, 1min, {});
  // glibc sets its own two signals (32 and 33) to be ignored.
  CHECK((masks.output == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n" ||
         masks.output == "SigBlk:\t0000000000000000\nSigIgn:\t0000000180000000\n"));
  CHECK(shell("ls -l /proc/$$/fd | grep -c /dev/null").output == "1\n");
  const CommandResult session = processes.run({"sh", "-c", "cut -d' ' -f1,5,6 /proc/$$/stat; echo $$"}, {}, 1min, {});
  const std::string pid = session.output.substr(0, session.output.find(' '));
  CHECK(session.output == pid + " " + pid + " " + pid + "\n" + pid + "\n");
}

TEST_CASE("a command that takes too long is ended with all that it started") {
  const CommandResult result = shell("sleep 1000 & echo $!; wait", 300ms);
  CHECK(result.timed_out);
  CHECK(result.exit_code == 128 + SIGKILL);
  const pid_t grandchild = std::stoi(result.output);
  CHECK(test::comes_true([&] { return !runs(grandchild); }));
}

TEST_CASE("a command that closes its output is waited for all the same") {
  const CommandResult result = shell("exec >/dev/null 2>&1; sleep 0.2; exit 3");
  CHECK(result.exit_code == 3);
}

TEST_CASE("a daemon that a command leaves behind, with the output open, is not waited for and lives on") {
  const CommandResult result = shell("sleep 1000 & echo $!");
  CHECK(result.exit_code == 0);
  CHECK_FALSE(result.timed_out);
  const pid_t daemon = std::stoi(result.output);
  CHECK(runs(daemon));
  ::kill(daemon, SIGKILL);
}

TEST_CASE("a stop ends a command with all that it started, at once") {
  const test::TempDir folder;
  std::stop_source stop;
  pid_t grandchild = 0;
  std::jthread stopper([&] {
    const std::filesystem::path file = folder / "pid";
    test::comes_true([&] { return std::filesystem::exists(file); });
    std::ifstream(file) >> grandchild;
    stop.request_stop();
  });
  const std::string file = (folder / "pid").string();
  CHECK_THROWS_AS(
      shell("sleep 1000 & echo $! >" + file + ".new; mv " + file + ".new " + file + "; wait", 10min, stop.get_token()),
      Stopped);
  stopper.join();
  REQUIRE(grandchild > 0);
  CHECK(test::comes_true([&] { return !runs(grandchild); }));
}

TEST_CASE("a command is not started after a stop") {
  const test::TempDir folder;
  std::stop_source stop;
  stop.request_stop();
  CHECK_THROWS_AS(shell("touch " + (folder / "ran").string(), 1min, stop.get_token()), Stopped);
  CHECK_FALSE(std::filesystem::exists(folder / "ran"));
}

TEST_CASE("a command that cannot be started is the operator's business and named") {
  if (test::emulated()) {
    MESSAGE("skipped: emulated");
    return;
  }
  const test::TempDir folder;
  create_file(folder / "no-program", "hello", {.uid = {}, .gid = {}, .mode = 0755});
  create_file(folder / "not-executable", "#!/bin/sh\n", {.uid = {}, .gid = {}, .mode = 0644});
  for (const std::string& program :
       {std::string("no-such-program"), (folder / "no-program").string(), (folder / "not-executable").string(),
        (folder / "none").string(), folder.path().string(), std::string()}) {
    CAPTURE(program);
    try {
      processes.run({program}, {}, 1min, {});
      FAIL("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.remedy() == Remedy::ask_operator);
      CHECK(error.message().find("cannot run " + program) == 0);
    }
  }
  CHECK_THROWS_AS(processes.run({}, {}, 1min, {}), Error);
}

TEST_CASE("commands run beside each other") {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([i] {
      for (int j = 0; j < 10; ++j) CHECK(shell("echo " + std::to_string(i)).output == std::to_string(i) + "\n");
    });
  }
}

TEST_CASE("where there is no thread to wait for a command, it is ended") {
  const std::string failure = test::in_child_with_tasks(2, []() -> std::string {
    try {
      processes.run({"sleep", "20"}, {}, 1min, {});
      return "it ran";
    } catch (const Error& error) {
      if (error.remedy() != Remedy::retry) return error.message();
    }
    siginfo_t left{};
    return ::waitid(P_ALL, 0, &left, WEXITED | WNOHANG | WNOWAIT) == 0 ? "it was left behind" : "";
  });
  if (failure == "skip") {
    MESSAGE("skipped: no-task-limit");
    return;
  }
  CHECK(failure == "");
}

TEST_CASE("a command that we may not end is not waited for when its time is over" * doctest::skip(::geteuid() != 0)) {
  const test::TempDir folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  std::filesystem::copy_file("/usr/bin/setpriv", folder / "as-root");
  std::filesystem::permissions(folder / "as-root", std::filesystem::perms(04755));
  const std::string failure = test::in_child([&]() -> std::string {
    if (::setresuid(65534, 65534, 65534) != 0) return "setresuid";
    ::alarm(10);
    const std::vector<std::string> as_root = {folder / "as-root", "--reuid=0", "sleep", "20"};
    return processes.run(as_root, {}, 300ms, {}).timed_out ? "" : "it was not ended";
  });
  CHECK(failure == "");
}
