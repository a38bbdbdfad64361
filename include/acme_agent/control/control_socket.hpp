#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include <acme_agent/sys/file.hpp>

namespace acme_agent {

/// Answers other processes of the same user (and root) on a UNIX socket of mode 0600: one line asked, one line
/// answered, each of 4 KiB at most, sixteen conversations at a time. A caller has 5 s to ask.
class ControlServer {
 public:
  /// Called in a thread of its own for each conversation; must come back soon after a stop.
  using Handler = std::function<std::string(const std::string& request, const std::stop_token& stop)>;

  /// Replaces a socket that an earlier process left behind; the caller holds the lock that makes this right.
  /// Throws Error if it cannot listen.
  ControlServer(std::filesystem::path path, Handler handler);
  /// Ends the conversations and removes the socket.
  ~ControlServer();

 private:
  void serve(const std::stop_token& stop);

  const std::filesystem::path path_;
  const Handler handler_;
  FileDescriptor socket_;
  std::jthread thread_;
};

/// Asks the process that listens there; nothing if there is none, or if it ended before it answered.
std::optional<std::string> ask_control(const std::filesystem::path& path, const std::string& request);

}  // namespace acme_agent
