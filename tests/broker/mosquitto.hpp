#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

extern char** environ;

namespace acme_agent::test {

/// A port that was free a moment ago.
inline std::uint16_t free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool bound = ::bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(descriptor);
  if (!bound) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

/// A real Mosquitto with a process name of its own, so that others on this machine are not in the way. Started by root
/// it becomes the user mosquitto, as everywhere.
class Mosquitto {
 public:
  explicit Mosquitto(const std::filesystem::path& folder) : folder_(folder) {
    static int count = 0;
    name_ = "mq" + std::to_string(::getpid()) + "x" + std::to_string(++count);
    std::filesystem::create_symlink("/usr/sbin/mosquitto", folder_ / name_);
  }
  ~Mosquitto() { stop(); }
  Mosquitto(const Mosquitto&) = delete;
  Mosquitto& operator=(const Mosquitto&) = delete;

  const std::string& name() const { return name_; }
  pid_t pid() const { return pid_; }

  /// Runs with these listeners; returns when it says so. Throws with the log if it ends instead.
  void start(const std::string& listeners) {
    const std::filesystem::path configuration = folder_ / (name_ + ".conf");
    std::ofstream(configuration) << "per_listener_settings false\nallow_anonymous true\nlog_dest stderr\n"
                                 << (::geteuid() == 0 ? "user mosquitto\n" : "") << listeners;
    const std::size_t begun = count_of(" running\n");
    spawn(configuration);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (count_of(" running\n") == begun) {
      if (!running()) throw std::runtime_error("Mosquitto did not start:\n" + log());
      if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("Mosquitto does not run:\n" + log());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

  /// What logrotate, certbot's hook or a person does; returns when the broker has read its files.
  void hang_up() {
    const std::size_t before = count_of("Reloading config.");
    ::kill(pid_, SIGHUP);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (count_of("Reloading config.") == before) {
      if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("no reload:\n" + log());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  bool running() {
    if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = 0;
    return pid_ > 0;
  }

  std::string log() const {
    std::ostringstream text;
    text << std::ifstream(folder_ / (name_ + ".log")).rdbuf();
    return text.str();
  }

 private:
  std::size_t count_of(const std::string& words) const {
    const std::string text = log();
    std::size_t count = 0;
    for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++count;
    return count;
  }

  void spawn(const std::filesystem::path& configuration) {
    const std::string program = folder_ / name_;
    const std::string log = folder_ / (name_ + ".log");
    std::string option = "-c";
    std::string argument = configuration;
    char* const argv[] = {name_.data(), option.data(), argument.data(), nullptr};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    const int error = ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv, environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
      pid_ = 0;
      throw std::runtime_error("Mosquitto is not installed (/usr/sbin/mosquitto)");
    }
  }

  const std::filesystem::path folder_;
  std::string name_;
  pid_t pid_ = 0;
};

}  // namespace acme_agent::test
