#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <initializer_list>
#include <memory>
#include <thread>

#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/processes.hpp>

#include "errno_text.hpp"
#include "event.hpp"

namespace acme_agent {
namespace {

constexpr std::size_t kept_output = 4096;

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno("cannot make", "a pipe", errno);
    reading = FileDescriptor(ends[0]);
    writing = FileDescriptor(ends[1]);
    ::fcntl(reading.get(), F_SETFL, O_NONBLOCK);  // Only our end: a program may not expect it.
  }

  FileDescriptor reading;
  FileDescriptor writing;
};

/// posix_spawn(3)'s two sets of instructions.
struct Start {
  Start(int output, int errors) {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, output, 1);
    ::posix_spawn_file_actions_adddup2(&actions, errors, 2);
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
    // Ours are close-on-exec; those of libraries may not be.
    ::posix_spawn_file_actions_addclosefrom_np(&actions, 3);
#endif
    sigset_t signals;
    ::posix_spawnattr_init(&attributes);
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes, &signals);
    ::sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes, &signals);
    // A session of its own: no terminal to ask for passwords on, and a process group to end as a whole.
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~Start() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  Start(const Start&) = delete;
  Start& operator=(const Start&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

/// Ours, without what `added` replaces, and `added`.
std::vector<std::string> merge_environment(const std::vector<std::string>& added) {
  std::vector<std::string> merged = added;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::string_view name = text.substr(0, text.find('=') + 1);
    const bool replaced = std::any_of(added.begin(), added.end(), [name](const std::string& other) {
      return !name.empty() && other.starts_with(name);
    });
    if (!replaced) merged.emplace_back(text);
  }
  return merged;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

pid_t start(std::vector<std::string> argv, const std::vector<std::string>& added, int output, int errors) {
  if (argv.empty()) throw Error(Remedy::ask_operator, "cannot run a program: its name is empty");
  const Start how(output, errors);
  std::vector<std::string> environment = merge_environment(added);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, argv[0].c_str(), &how.actions, &how.attributes, pointers(argv).data(),
                                   pointers(environment).data());
  if (error == 0) return pid;
  const std::string reason = error == ENOENT    ? "there is no such program"
                             : error == ENOEXEC ? "it is no program (a script begins with a line like #!/bin/sh)"
                                                : errno_text(error);
  throw Error(Remedy::ask_operator, "cannot run " + printable(argv[0]) + ": " + reason);
}

/// A program that was started. It stays a zombie until reap(), so that its pid and group mean nothing else.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {
    try {
      ending_ = std::make_shared<Ending>();
      waiter_ = std::thread([pid, ending = ending_] {
        siginfo_t ignored{};
        while (::waitid(P_PID, static_cast<id_t>(pid), &ignored, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
        }
        ending->event.set();
        if (ending->left_alone.exchange(true)) ::waitpid(pid, nullptr, 0);
      });
    } catch (const std::exception& error) {  // no descriptor or no thread is left
      if (kill_group()) ::waitpid(pid_, nullptr, 0);
      throw Error(Remedy::retry,
                  std::string("cannot wait for a program, which takes a thread and a descriptor: ") + error.what());
    }
  }
  ~Child() {
    if (waiter_.joinable()) end();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Readable once the program has ended.
  int ended() const noexcept { return ending_->event.descriptor(); }

  /// Ends it with its group; the exit code. One that we may not end (it runs as another user by now, as with sudo), or
  /// that hangs within the kernel, is left to itself.
  int end() noexcept {
    kill_group();
    pollfd ended{ending_->event.descriptor(), POLLIN, 0};
    while (::poll(&ended, 1, 1000) < 0 && errno == EINTR) {
    }
    if (ended.revents != 0 || ending_->left_alone.exchange(true)) return reap();
    waiter_.detach();
    return 128 + SIGKILL;
  }

  /// Waits for the end; the exit code.
  int reap() noexcept {
    waiter_.join();
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }

 private:
  struct Ending {
    Event event;
    std::atomic<bool> left_alone = false;  ///< The second of both sides that sets it reaps.
  };

  bool kill_group() const noexcept { return ::kill(-pid_, SIGKILL) == 0; }

  const pid_t pid_;
  std::shared_ptr<Ending> ending_;
  std::thread waiter_;
};

void append_last(std::string& kept, std::string_view more) {
  kept.append(more);
  if (kept.size() > kept_output) kept.erase(0, kept.size() - kept_output);
}

/// Reads what is there, for each of `kept`; false at the end of the output.
bool read_available(int pipe, std::initializer_list<std::string*> kept) {
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t count = ::read(pipe, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return false;
    for (std::string* one : kept) append_last(*one, {buffer.data(), static_cast<std::size_t>(count)});
  }
}

}  // namespace

CommandResult SystemProcesses::run(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                                   Duration timeout, const std::stop_token& stop) const {
  if (stop.stop_requested()) throw Stopped{};
  const StopEvent stopped(stop);
  Pipe output;
  Pipe errors;
  Child child(start(argv, environment, output.writing.get(), errors.writing.get()));
  output.writing.reset();
  errors.writing.reset();

  CommandResult result;
  const auto deadline = std::chrono::steady_clock::now() + std::min<Duration>(timeout, std::chrono::hours(24));
  std::array<pollfd, 4> waiting = {{{child.ended(), POLLIN, 0},
                                    {stopped.descriptor(), POLLIN, 0},
                                    {output.reading.get(), POLLIN, 0},
                                    {errors.reading.get(), POLLIN, 0}}};
  const auto read_output = [&] {
    return read_available(output.reading.get(), {&result.output, &result.standard_output});
  };
  const auto read_errors = [&] { return read_available(errors.reading.get(), {&result.output}); };
  while (waiting[0].revents == 0) {
    const auto left = std::chrono::ceil<Duration>(deadline - std::chrono::steady_clock::now());
    result.timed_out = left <= Duration{0};
    if (result.timed_out) break;
    if (::poll(waiting.data(), waiting.size(), static_cast<int>(left.count())) < 0) continue;
    if (waiting[1].revents != 0) throw Stopped{};  // ~Child ends it.
    // A negative descriptor is left out by poll(2).
    if (waiting[2].revents != 0 && !read_output()) waiting[2].fd = -1;
    if (waiting[3].revents != 0 && !read_errors()) waiting[3].fd = -1;
  }
  result.exit_code = result.timed_out ? child.end() : child.reap();
  // What others of its group may still write does not count: they may run for ever.
  read_output();
  read_errors();
  return result;
}

}  // namespace acme_agent
