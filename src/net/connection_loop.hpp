#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "socket.hpp"

namespace acme_agent {

struct Reply {
  std::string bytes;           ///< What to send; may be empty.
  bool over = false;           ///< Nothing more is to be heard: the connection is closed once the bytes are sent.
  std::function<void()> sent;  ///< Called when it is; may be empty.
};

/// Our side of what is said on one connection.
class Conversation {
 public:
  virtual ~Conversation() = default;

  /// What to say to `octets`; with `end` no more will come.
  virtual Reply hear(std::string_view octets, bool end) = 0;
};

using Begin = std::function<std::unique_ptr<Conversation>()>;

/// Has a conversation on each connection to its listeners, all in one thread of its own. A connection has 10 s and
/// 8 KiB to hear altogether; the oldest of too many makes room for a new one.
class ConnectionLoop {
 public:
  ConnectionLoop(std::vector<Socket> listeners, Begin begin, std::size_t most_connections = 512);
  /// Closes everything at once.
  ~ConnectionLoop();

 private:
  struct Connection {
    Socket socket;
    std::chrono::steady_clock::time_point deadline;
    std::unique_ptr<Conversation> conversation;
    Reply reply;
    std::size_t heard = 0;
    std::size_t sent = 0;  // of the reply

    bool has_to_send() const { return sent < reply.bytes.size(); }
  };

  void run();
  void accept_from(const Socket& listener);
  bool serve(Connection& connection);
  bool serve_safely(Connection& connection) noexcept;

  const std::vector<Socket> listeners_;
  const Begin begin_;
  const std::size_t most_connections_;
  const Socket wake_;
  std::vector<Connection> connections_;  // the oldest first
  std::chrono::steady_clock::time_point accept_again_{};
  std::thread thread_;
};

}  // namespace acme_agent
