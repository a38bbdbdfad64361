#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/emulation.hpp"

namespace acme_agent::test {

/// Signals as in a new program: doctest's handlers are for the parent.
inline void reset_signals() {
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGSEGV, SIGABRT, SIGFPE, SIGILL}) ::signal(number, SIG_DFL);
}

/// What `work` returns in a process of its own, whose identity, mounts and network it may change. Failures of
/// expectations come back as text: empty is good.
inline std::string in_child(const std::function<std::string()>& work) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  const pid_t pid = ::fork();
  if (pid == 0) {
    reset_signals();
    std::string result;
    try {
      result = work();
    } catch (const std::exception& error) {
      result = std::string("exception: ") + error.what();
    } catch (...) {
      result = "exception";
    }
    const bool told = ::write(ends[1], result.data(), result.size()) == static_cast<ssize_t>(result.size());
    ::_exit(told ? 0 : 1);
  }
  ::close(ends[1]);
  std::string result;
  std::array<char, 4096> buffer;
  for (ssize_t count = 0; (count = ::read(ends[0], buffer.data(), buffer.size())) > 0;) {
    result.append(buffer.data(), static_cast<std::size_t>(count));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) result += " (the child broke down)";
  return result;
}

/// The same as a user of its own, who may have so many processes and threads, the child included; "skip" where nobody
/// can be limited so.
inline std::string in_child_with_tasks(rlim_t count, const std::function<std::string()>& work) {
#ifdef __SANITIZE_THREAD__
  return "skip";  // it has a thread of its own
#else
  if (::geteuid() != 0 || emulated()) return "skip";
  return in_child([&]() -> std::string {
    const uid_t user = 1'000'000 + static_cast<uid_t>(::getpid());
    const rlimit limit{count, count};
    if (::setresuid(user, user, user) != 0 || ::setrlimit(RLIMIT_NPROC, &limit) != 0) return "skip";
    return work();
  });
#endif
}

/// A process that runs `prepare` and tells that it did, then waits to be killed with this object.
class Child {
 public:
  explicit Child(const std::function<void()>& prepare) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    pid_ = ::fork();
    if (pid_ == 0) {
      reset_signals();
      prepare();
      if (::write(ends[1], "!", 1) != 1) ::_exit(1);
      while (true) ::pause();
    }
    ::close(ends[1]);
    char ready = 0;
    const bool came = ::read(ends[0], &ready, 1) == 1;
    ::close(ends[0]);
    if (!came) throw std::runtime_error("the child did not get ready");
  }
  /// A program; it runs when this returns, since its close-on-exec end of the pipe is closed then.
  explicit Child(std::vector<std::string> argv) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    std::vector<char*> pointers;
    for (std::string& argument : argv) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::execv(pointers[0], pointers.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    char nothing = 0;
    while (::read(ends[0], &nothing, 1) > 0) {
    }
    ::close(ends[0]);
  }
  ~Child() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      wait();
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }

  /// The wait status.
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_ = 0;
};

/// True as soon as `condition` is; false if that takes more than ten seconds.
inline bool comes_true(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace acme_agent::test
