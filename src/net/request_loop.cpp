#include "request_loop.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace acme_agent {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

constexpr auto connection_time = 10s;
constexpr auto pause_without_descriptors = 100ms;
constexpr std::size_t largest_request = 8 * 1024;
constexpr std::size_t most_connections = 512;
constexpr int accepts_at_once = 64;

Socket make_wake() {
  Socket wake(::eventfd(0, EFD_CLOEXEC));
  if (!wake.valid()) throw std::system_error(errno, std::generic_category(), "eventfd");
  return wake;
}

/// Unread bytes would turn the close into a reset, which may overtake the reply.
void close_gently(Socket socket) {
  ::shutdown(socket.get(), SHUT_WR);
  std::array<char, 2048> unread;
  for (int i = 0; i < 32 && ::recv(socket.get(), unread.data(), unread.size(), MSG_DONTWAIT) > 0; ++i) {
  }
}

bool try_later() {
  return errno == EAGAIN || errno == EINTR;
}

}  // namespace

RequestLoop::RequestLoop(std::vector<Socket> listeners, std::function<Reply(std::string_view request)> answer)
    : listeners_(std::move(listeners)), answer_(std::move(answer)), wake_(make_wake()), thread_([this] { run(); }) {}

RequestLoop::~RequestLoop() {
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void RequestLoop::run() {
  std::vector<pollfd> polled;
  while (true) {
    auto wake_at = Steady::time_point::max();
    polled.assign(1, {wake_.get(), POLLIN, 0});
    for (const Connection& connection : connections_) {
      const short wanted = connection.reply.bytes.empty() ? POLLIN : POLLOUT;
      polled.push_back({connection.socket.get(), wanted, 0});
      wake_at = std::min(wake_at, connection.deadline);
    }
    if (accept_again_ > Steady::now()) {
      wake_at = std::min(wake_at, accept_again_);
    } else {
      for (const Socket& listener : listeners_) polled.push_back({listener.get(), POLLIN, 0});
    }

    int timeout = -1;
    if (wake_at != Steady::time_point::max()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(wake_at - Steady::now());
      timeout = static_cast<int>(std::max(left, 0ms).count());
    }
    if (::poll(polled.data(), polled.size(), timeout) < 0) continue;
    if (polled[0].revents != 0) return;

    const std::size_t first_listener = 1 + connections_.size();
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      if (polled[1 + i].revents != 0 && !serve_safely(connections_[i])) connections_[i].socket = Socket();
    }
    std::erase_if(connections_, [now = Steady::now()](const Connection& connection) {
      return !connection.socket.valid() || connection.deadline <= now;
    });
    for (std::size_t i = first_listener; i < polled.size(); ++i) {
      if (polled[i].revents != 0) accept_from(listeners_[i - first_listener]);
    }
  }
}

void RequestLoop::accept_from(const Socket& listener) {
  for (int i = 0; i < accepts_at_once; ++i) {
    Socket socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid() && errno == EAGAIN) return;
    const bool exhausted =
        !socket.valid() && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
    if (exhausted && connections_.empty()) {
      accept_again_ = Steady::now() + pause_without_descriptors;
      return;
    }
    if (exhausted || connections_.size() == most_connections) connections_.erase(connections_.begin());
    if (socket.valid()) connections_.push_back({std::move(socket), Steady::now() + connection_time, {}, {}, 0});
  }
}

bool RequestLoop::serve_safely(Connection& connection) noexcept {
  try {
    return serve(connection);
  } catch (...) {
    return false;
  }
}

/// False when the connection is over.
bool RequestLoop::serve(Connection& connection) {
  const int socket = connection.socket.get();
  std::string& request = connection.request;
  Reply& reply = connection.reply;

  if (reply.bytes.empty()) {
    std::array<char, 2048> chunk;
    const std::size_t room = std::min(chunk.size(), largest_request - request.size());
    const ssize_t received = ::recv(socket, chunk.data(), room, 0);
    if (received < 0) return try_later();
    request.append(chunk.data(), static_cast<std::size_t>(received));
    const bool more_to_come = received > 0 && request.size() < largest_request;
    if (more_to_come && request.find("\r\n\r\n") == std::string::npos) return true;
    reply = answer_(request);
    if (reply.bytes.empty()) return false;
  }

  const ssize_t sent =
      ::send(socket, reply.bytes.data() + connection.sent, reply.bytes.size() - connection.sent, MSG_NOSIGNAL);
  if (sent < 0) return try_later();
  connection.sent += static_cast<std::size_t>(sent);
  if (connection.sent < reply.bytes.size()) return true;
  close_gently(std::move(connection.socket));
  if (reply.sent) reply.sent();
  return false;
}

}  // namespace acme_agent
