#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace acme_agent::test {

/// An HTTP server that says what the test wants, whatever it is asked, at a UNIX socket or at a port of 127.0.0.1.
class HttpPeer {
 public:
  enum class Manner {
    once,      ///< Says it and hangs up.
    for_ever,  ///< Says it, and then its last byte without end.
    silent,    ///< Takes the request and says nothing.
  };

  explicit HttpPeer(std::string answer, Manner manner = Manner::once, const std::filesystem::path& path = {})
      : answer_(std::move(answer)), manner_(manner) {
    if (path.empty()) {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      listen_at(AF_INET, reinterpret_cast<sockaddr*>(&address), sizeof address);
      socklen_t size = sizeof address;
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
      port_ = ntohs(address.sin_port);
    } else {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      path.native().copy(address.sun_path, sizeof address.sun_path - 1);
      listen_at(AF_UNIX, reinterpret_cast<sockaddr*>(&address), sizeof address);
    }
    thread_ = std::thread([this] { serve(); });
  }
  ~HttpPeer() {
    ended_ = true;
    thread_.join();
    ::close(listener_);
  }
  HttpPeer(const HttpPeer&) = delete;
  HttpPeer& operator=(const HttpPeer&) = delete;

  std::string place() const { return "127.0.0.1:" + std::to_string(port_); }

  /// Head and body of each request so far.
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void listen_at(int family, const sockaddr* address, socklen_t size) {
    listener_ = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::bind(listener_, address, size) != 0 || ::listen(listener_, 8) != 0) throw std::runtime_error("cannot listen");
  }

  bool wait_for(int socket, short what) const {
    while (!ended_) {
      pollfd waiting{socket, what, 0};
      if (::poll(&waiting, 1, 20) > 0) return true;
    }
    return false;
  }

  void serve() {
    while (wait_for(listener_, POLLIN)) {
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (connection < 0) continue;
      converse(connection);
      ::close(connection);
    }
  }

  void converse(int connection) {
    std::string request;
    char buffer[4096];
    while (request.find("\r\n\r\n") == std::string::npos && wait_for(connection, POLLIN)) {
      const ssize_t count = ::read(connection, buffer, sizeof buffer);
      if (count <= 0) return;
      request.append(buffer, static_cast<std::size_t>(count));
    }
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    std::string rest = manner_ == Manner::silent ? "" : answer_;
    while (!rest.empty() && wait_for(connection, POLLOUT)) {
      const ssize_t count = ::send(connection, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (count < 0) return;
      rest.erase(0, static_cast<std::size_t>(count));
      if (manner_ == Manner::for_ever && rest.size() < sizeof buffer) rest.append(sizeof buffer, answer_.back());
    }
    while (manner_ == Manner::silent && wait_for(connection, POLLIN) && ::read(connection, buffer, sizeof buffer) > 0) {
    }
  }

  const std::string answer_;
  const Manner manner_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> ended_ = false;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace acme_agent::test
