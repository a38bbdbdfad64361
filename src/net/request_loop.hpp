#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "socket.hpp"

namespace acme_agent {

struct Reply {
  std::string bytes;           ///< Empty: close without a word.
  std::function<void()> sent;  ///< Called when the last byte has been sent and the connection is closed.
};

/// Takes one HTTP request from each connection to its listeners and sends the reply, all in one thread of its own.
/// A connection has 10 s and 8 KiB altogether; the oldest of too many makes room for a new one.
class RequestLoop {
 public:
  /// `answer` gets a request up to the end of its headers, or what there is of it if it is too long or breaks off.
  RequestLoop(std::vector<Socket> listeners, std::function<Reply(std::string_view request)> answer);
  /// Closes everything at once.
  ~RequestLoop();

 private:
  struct Connection {
    Socket socket;
    std::chrono::steady_clock::time_point deadline;
    std::string request;
    Reply reply;
    std::size_t sent = 0;
  };

  void run();
  void accept_from(const Socket& listener);
  bool serve(Connection& connection);
  bool serve_safely(Connection& connection) noexcept;

  const std::vector<Socket> listeners_;
  const std::function<Reply(std::string_view request)> answer_;
  const Socket wake_;
  std::vector<Connection> connections_;  // the oldest first
  std::chrono::steady_clock::time_point accept_again_{};
  std::thread thread_;
};

}  // namespace acme_agent
