#include "connection_loop.hpp"

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
constexpr std::size_t most_heard = 8 * 1024;
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

ConnectionLoop::ConnectionLoop(std::vector<Socket> listeners, Begin begin, std::size_t most_connections)
    : listeners_(std::move(listeners)),
      begin_(std::move(begin)),
      most_connections_(most_connections),
      wake_(make_wake()),
      thread_([this] { run(); }) {}

ConnectionLoop::~ConnectionLoop() {
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void ConnectionLoop::run() {
  std::vector<pollfd> polled;
  while (true) {
    auto wake_at = Steady::time_point::max();
    polled.assign(1, {wake_.get(), POLLIN, 0});
    for (const Connection& connection : connections_) {
      const short wanted = connection.has_to_send() ? POLLOUT : POLLIN;
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

void ConnectionLoop::accept_from(const Socket& listener) {
  for (int i = 0; i < accepts_at_once; ++i) {
    Socket socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid() && errno == EAGAIN) return;
    const bool exhausted =
        !socket.valid() && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
    if (exhausted && connections_.empty()) {
      accept_again_ = Steady::now() + pause_without_descriptors;
      return;
    }
    if (exhausted || connections_.size() == most_connections_) connections_.erase(connections_.begin());
    if (socket.valid())
      connections_.push_back({std::move(socket), Steady::now() + connection_time, begin_(), {}, 0, 0});
  }
}

bool ConnectionLoop::serve_safely(Connection& connection) noexcept {
  try {
    return serve(connection);
  } catch (...) {
    return false;
  }
}

/// False when the connection is over.
bool ConnectionLoop::serve(Connection& connection) {
  const int socket = connection.socket.get();
  Reply& reply = connection.reply;

  if (!connection.has_to_send()) {
    std::array<char, 2048> chunk;
    const std::size_t room = std::min(chunk.size(), most_heard - connection.heard);
    const ssize_t received = ::recv(socket, chunk.data(), room, 0);
    if (received < 0) return try_later();
    const auto count = static_cast<std::size_t>(received);
    connection.heard += count;
    const bool end = count == 0 || connection.heard == most_heard;
    reply = connection.conversation->hear({chunk.data(), count}, end);
    reply.over = reply.over || end;
    connection.sent = 0;
  }

  if (connection.has_to_send()) {
    const ssize_t sent =
        ::send(socket, reply.bytes.data() + connection.sent, reply.bytes.size() - connection.sent, MSG_NOSIGNAL);
    if (sent < 0) return try_later();
    connection.sent += static_cast<std::size_t>(sent);
    if (connection.has_to_send()) return true;
  }
  if (!reply.over) return true;
  close_gently(std::move(connection.socket));
  if (reply.sent) reply.sent();
  return false;
}

}  // namespace acme_agent
