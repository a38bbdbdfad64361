#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/processes.hpp>

#include "child.hpp"
#include "support/emulation.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

const SystemProcesses processes;

/// `sleep` under another name.
test::Child start_sleeper(const fs::path& program) {
  fs::copy_file("/bin/sleep", program, fs::copy_options::skip_existing);
  return test::Child(std::vector<std::string>{program, "1000"});
}

std::vector<pid_t> pids(const std::vector<Process>& found) {
  std::vector<pid_t> all;
  for (const Process& process : found) all.push_back(process.pid);
  return all;
}

}  // namespace

TEST_CASE("processes are found by name, in order of their pids, also by names longer than the kernel keeps") {
  const test::TempDir folder;
  const std::string name = "sleeper" + std::to_string(::getpid()) + "-with-a-long-name";
  CHECK(processes.find(name).empty());
  const test::Child first = start_sleeper(folder / name);
  const test::Child second = start_sleeper(folder / name);
  std::vector<pid_t> expected = {first.pid(), second.pid()};
  std::sort(expected.begin(), expected.end());
  CHECK(pids(processes.find(name)) == expected);
  CHECK(pids(processes.find(name.substr(0, 15))) == expected);
  CHECK(processes.find(name.substr(0, 14)).empty());
}

TEST_CASE("a process is described as it is") {
  const TimePoint before = SystemClock().now();
  const test::Child child([] { ::prctl(PR_SET_NAME, "odd) R 1 (name"); });
  const std::optional<Process> found = processes.find(child.pid());
  REQUIRE(found);
  CHECK(found->pid == child.pid());
  CHECK(found->parent == ::getpid());
  CHECK(found->name == "odd) R 1 (name");
  CHECK(found->uid == ::geteuid());
  CHECK(found->gid == ::getegid());
  CHECK(found->sees_our_paths);
  CHECK(found->start_time > 0);
  CHECK(found->started > before - 1s);
  CHECK(found->started < SystemClock().now() + 1s);
  CHECK(pids(processes.find("odd) R 1 (name")) == std::vector<pid_t>{child.pid()});
}

TEST_CASE("who catches or ignores SIGHUP survives it, and nobody else") {
  if (test::emulated()) {
    MESSAGE("skipped: emulated");
    return;
  }
  const test::Child plain([] {});
  const test::Child catching([] { ::signal(SIGHUP, [](int) {}); });
  const test::Child ignoring([] { ::signal(SIGHUP, SIG_IGN); });
  const test::Child catching_another([] { ::signal(SIGINT, [](int) {}); });
  CHECK_FALSE(processes.find(plain.pid())->survives_hangup);
  CHECK(processes.find(catching.pid())->survives_hangup);
  CHECK(processes.find(ignoring.pid())->survives_hangup);
  CHECK_FALSE(processes.find(catching_another.pid())->survives_hangup);
}

TEST_CASE("a process is not found by its name when it is ourselves, ended or a zombie") {
  const Process self = processes.find(::getpid()).value();
  const std::vector<pid_t> same_name = pids(processes.find(self.name));
  CHECK(std::find(same_name.begin(), same_name.end(), ::getpid()) == same_name.end());

  test::Child child([] { ::prctl(PR_SET_NAME, "short-lived"); });
  const pid_t pid = child.pid();
  ::kill(pid, SIGKILL);
  siginfo_t ignored{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &ignored, WEXITED | WNOWAIT) == 0);
  CHECK_FALSE(processes.find(pid));
  CHECK(processes.find("short-lived").empty());
  child.wait();
  CHECK_FALSE(processes.find(pid));
  CHECK_FALSE(processes.find(0));
  CHECK_FALSE(processes.find(-1));
}

TEST_CASE("user, groups and powers are the effective ones") {
  if (::geteuid() != 0) return;
  CHECK(processes.find(::getpid())->reads_everything);
  const test::Child child([] {
    const gid_t groups[] = {1111, 2222};
    if (::setgroups(2, groups) != 0 || ::setegid(3333) != 0 || ::seteuid(4444) != 0) ::_exit(1);
  });
  const std::optional<Process> found = processes.find(child.pid());
  REQUIRE(found);
  CHECK(found->uid == 4444);
  CHECK(found->gid == 3333);
  CHECK(found->groups == std::vector<gid_t>{1111, 2222});
  CHECK_FALSE(found->reads_everything);
}

TEST_CASE("a process sees other paths with another root, and ours also in a mount namespace of its own") {
  const std::string failure = test::in_child([]() -> std::string { return ::unshare(CLONE_NEWNS) == 0 ? "" : "skip"; });
  if (failure == "skip") {
    MESSAGE("skipped: no-namespaces");
    return;
  }
  const test::Child sandboxed([] { ::unshare(CLONE_NEWNS); });
  CHECK(processes.find(sandboxed.pid())->sees_our_paths);
  const test::TempDir folder;
  for (const fs::path& root : {fs::path("/proc"), fs::path(folder / ".")}) {  // another file system, and only a folder
    const test::Child contained([&] {
      if (::unshare(CLONE_NEWNS) != 0 || ::chroot(root.c_str()) != 0) ::_exit(1);
    });
    CHECK_FALSE(processes.find(contained.pid())->sees_our_paths);
  }
}

TEST_CASE("whom anybody may name as he likes is known: other users with a shell, and user namespaces") {
  const std::string failure = test::in_child([]() -> std::string {
    const test::TempDir folder;
    write_file(folder / "passwd",
               "mosquitto:x:115:115::/:/bin/sh\nalice:x:1201:1201::/:/bin/bash\nservice:x:1202:1202::/:/sbin/nologin\n",
               {});
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "skip";
    if (::mount((folder / "passwd").c_str(), "/etc/passwd", nullptr, MS_BIND, nullptr) != 0) return "skip";
    const auto is_one = [](uid_t uid) {
      const test::Child child([uid] {
        if (::seteuid(uid) != 0) ::_exit(1);
      });
      return processes.find(child.pid())->of_other_person;
    };
    if (is_one(115)) return "a service's user";
    if (!is_one(1201)) return "not a user with a shell";
    if (is_one(1202)) return "a user without a shell";
    if (is_one(1883)) return "a user that only a container knows";
    const auto is_one_in_namespace = [](uid_t uid) {
      const test::Child child([uid] {
        const std::string map = std::to_string(uid) + ' ' + std::to_string(uid) + " 1";
        const bool alone = ::seteuid(uid) == 0 && ::prctl(PR_SET_DUMPABLE, 1) == 0 && ::unshare(CLONE_NEWUSER) == 0;
        if (!alone || !(std::ofstream("/proc/self/uid_map") << map << std::flush)) ::_exit(1);
      });
      return processes.find(child.pid())->of_other_person;
    };
    if (!is_one_in_namespace(100999)) return "not one of a user namespace";
    if (is_one_in_namespace(115)) return "a service in a user namespace";
    const bool ourselves = ::seteuid(1201) != 0 || is_one(1201);
    return ::seteuid(0) != 0 || ourselves ? "ourselves" : "";
  });
  if (failure == "skip") {
    MESSAGE("skipped: no-namespaces");
    return;
  }
  CHECK(failure == "");
}

TEST_CASE("a signal reaches the process that was found") {
  test::Child child([] {});
  processes.signal(processes.find(child.pid()).value(), SIGTERM);
  const int status = child.wait();
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGTERM);
}

TEST_CASE("a signal never reaches another process that got the pid") {
  const test::Child child([] {});
  Process other = processes.find(child.pid()).value();
  other.start_time -= 1;
  try {
    processes.signal(other, SIGKILL);
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::retry);
  }
  CHECK(processes.find(child.pid()));
}

TEST_CASE("a signal to a process that has ended, or to no process, is an error that may pass") {
  std::optional<Process> ended;
  {
    const test::Child child([] {});
    ended = processes.find(child.pid());
  }
  for (const Process& process : {*ended, Process{}}) {
    try {
      processes.signal(process, SIGTERM);
      FAIL("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.remedy() == Remedy::retry);
    }
  }
}

TEST_CASE("a process that we may not signal is the operator's business") {
  if (test::emulated()) {
    MESSAGE("skipped: emulated");
    return;
  }
  if (::geteuid() != 0) return;
  const Process self = processes.find(::getpid()).value();
  const std::string failure = test::in_child([&]() -> std::string {
    if (::setuid(65534) != 0) return "cannot change user";
    try {
      processes.signal(self, SIGTERM);
      return "nothing was thrown";
    } catch (const Error& error) {
      const bool named = error.message().find("(pid " + std::to_string(self.pid) + ")") != std::string::npos;
      return error.remedy() == Remedy::ask_operator && named ? "" : error.message();
    }
  });
  CHECK(failure == "");
}

TEST_CASE("the process that listens on a port is named, over IPv4 and IPv6") {
  for (const int family : {AF_INET, AF_INET6}) {
    const FileDescriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket.valid()) continue;
    sockaddr_storage address{};
    address.ss_family = static_cast<sa_family_t>(family);
    const socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
    socklen_t size = sizeof address;
    REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    const std::uint16_t port = ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);  // At one place in both.

    CHECK(describe_port_holder(port) == "");
    REQUIRE(::listen(socket.get(), 1) == 0);
    const Process self = processes.find(::getpid()).value();
    CHECK(describe_port_holder(port) == self.name + " (pid " + std::to_string(self.pid) + ")");
  }
}
