#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "support/temp_dir.hpp"

extern char** environ;

namespace acme_agent::test {

/// A port that is free for UDP and TCP on every address of loopback that a test takes.
inline std::uint16_t free_dns_port() {
  for (int attempt = 0; attempt < 100; ++attempt) {
    const int udp = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int tcp = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    socklen_t size = sizeof address;
    const bool bound = ::bind(tcp, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                       ::getsockname(tcp, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
                       ::bind(udp, reinterpret_cast<sockaddr*>(&address), size) == 0;
    ::close(udp);
    ::close(tcp);
    if (bound) return ntohs(address.sin_port);
  }
  throw std::runtime_error("no free port");
}

/// BIND on 127.0.0.1: the primary of mydyn.example, which the key "acme-key" may change (the key "other-key" may not),
/// and of large.example, whose TXT record does not fit into a datagram.
class Named {
 public:
  static constexpr const char* secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=";

  explicit Named(const std::string& more_records = {}) : port_(free_dns_port()) {
    const std::string folder = folder_.path();
    write(
        "mydyn.zone",
        "$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\n@ A 127.0.0.1\n" + more_records);
    std::string large = "$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\n";
    for (char c = 'a'; c <= 'p'; ++c) large += "@ TXT \"" + std::string(200, c) + "\"\n";
    write("large.zone", large);
    write("named.conf",
          "options { directory \"" + folder + "\"; pid-file none; session-keyfile none; listen-on port " +
              std::to_string(port_) +
              " { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; dnssec-validation no; empty-zones-enable no; "
              "notify no; };\ncontrols { };\n" +
              key("acme-key", "hmac-sha256") + key("long-key", "hmac-sha512") + key("other-key", "hmac-sha256") +
              "zone \"mydyn.example\" { type primary; file \"mydyn.zone\"; "
              "allow-update { key acme-key; key long-key; }; };\n"
              "zone \"large.example\" { type primary; file \"large.zone\"; };\n");
    start();
  }
  ~Named() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Named(const Named&) = delete;
  Named& operator=(const Named&) = delete;

  std::uint16_t port() const { return port_; }

  std::string log() const {
    std::ostringstream text;
    text << std::ifstream(folder_ / "log").rdbuf();
    return text.str();
  }

 private:
  static std::string key(const std::string& name, const std::string& algorithm) {
    return "key \"" + name + "\" { algorithm " + algorithm + "; secret \"" + secret + "\"; };\n";
  }

  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }

  void start() {
    const std::string log_file = folder_ / "log";
    std::string words[] = {"named", "-g", "-n", "1", "-c", (folder_ / "named.conf").string()};
    char* const argv[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(),
                          words[4].data(), words[5].data(), nullptr};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 2, log_file.c_str(), O_WRONLY | O_CREAT, 0644);
    const int error = ::posix_spawn(&pid_, "/usr/sbin/named", &actions, nullptr, argv, environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::runtime_error("BIND is not installed (/usr/sbin/named)");
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (log().find(" running\n") == std::string::npos) {
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_ || std::chrono::steady_clock::now() > deadline)
        throw std::runtime_error("BIND does not run:\n" + log());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  const TempDir folder_;
  const std::uint16_t port_;
  pid_t pid_ = 0;
};

}  // namespace acme_agent::test
