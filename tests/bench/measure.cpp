// measure FILE PROGRAM [ARGUMENT...]: runs the program and writes what it cost to FILE, as JSON. User and system time
// are those of everything it started, too, since orphans come here; max_rss_kb is the largest single process. It is a
// program of its own since Linux passes the peak memory of whoever forks on to the child: Python's would hide ours.

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>

namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) return 2;
  std::signal(SIGTERM, SIG_IGN);  // a daemon is told to end by its own pid
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const auto began = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGTERM, SIG_DFL);
    ::execvp(arguments[2], arguments + 2);
    std::perror(arguments[2]);
    ::_exit(127);
  }
  int status = 0;
  while (::wait(&status) != child) {
  }
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - began;
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  std::FILE* const file = std::fopen(arguments[1], "w");
  if (file == nullptr) return 1;
  std::fprintf(file, R"({"code": %d, "wall": %.6f, "user": %.6f, "system": %.6f, "max_rss_kb": %ld})",
               WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), wall.count(), seconds(usage.ru_utime),
               seconds(usage.ru_stime), usage.ru_maxrss);
  return std::fclose(file) == 0 ? 0 : 1;
}
