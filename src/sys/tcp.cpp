#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/tcp.hpp>
#include <acme_agent/sys/udp.hpp>

#include "errno_text.hpp"
#include "event.hpp"

namespace acme_agent {
namespace {

struct FreeAddresses {
  void operator()(addrinfo* addresses) const noexcept { ::freeaddrinfo(addresses); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

struct Answer {
  std::vector<std::string> addresses;
  std::string failure;
};

Answer ask_resolver(const std::string& host) {
  // RFC 6761 6.3: always this machine, also where no /etc/hosts says so, as in a bare container.
  if (host == "localhost") return {{"127.0.0.1", "::1"}, {}};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int result = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (result != 0) return {{}, result == EAI_SYSTEM ? errno_text(errno) : ::gai_strerror(result)};
  const Addresses owned(found);
  Answer answer;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
      continue;
    }
    std::vector<std::string>& all = answer.addresses;
    if (std::find(all.begin(), all.end(), text.data()) == all.end()) all.emplace_back(text.data());
  }
  return answer;
}

/// What the asking thread and the resolver's share: whoever is last lets go of it.
struct Question {
  std::mutex mutex;
  std::condition_variable_any answered;
  std::optional<Answer> answer;
};

bool nobody_listens(int error, int family) {
  return error == ECONNREFUSED || error == EAFNOSUPPORT || error == EADDRNOTAVAIL ||
         (error == ENETUNREACH && family == AF_INET6);
}

/// The error of a connection that was begun; 0 if it stands.
int await_connection(int socket, Duration timeout, const std::stop_token& stop) {
  if (!wait_for_socket(socket, SocketReady::to_write, timeout, stop)) return ETIMEDOUT;
  int error = 0;
  socklen_t length = sizeof error;
  return ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

Addresses numeric_address(const std::string& address, std::uint16_t port, int type) {
  addrinfo hints{};
  hints.ai_socktype = type;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    throw Error(Remedy::ask_operator, "'" + printable(address) + "' is not a numeric address");
  }
  return Addresses(found);
}

FileDescriptor open_socket(const addrinfo& address) {
  return FileDescriptor(::socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

Connection failed(const addrinfo& address, int error) {
  return {FileDescriptor(), nobody_listens(error, address.ai_family), errno_text(error)};
}

}  // namespace

std::vector<std::string> resolve(const std::string& host, Duration timeout, const std::stop_token& stop) {
  const auto refuse = [&host](std::string_view reason) {
    return Error(Remedy::retry, "cannot find an address of '" + printable(host) + "': " + std::string(reason));
  };
  // getaddrinfo(3) cannot be interrupted. A thread that is left behind ends when the resolver gives up.
  const auto question = std::make_shared<Question>();
  try {
    std::thread([question, host] {
      Answer answer = ask_resolver(host);
      const std::lock_guard lock(question->mutex);
      question->answer = std::move(answer);
      question->answered.notify_all();
    }).detach();
  } catch (const std::system_error& error) {
    throw refuse(std::string("there is no thread to ask with: ") + error.what());
  }

  std::unique_lock lock(question->mutex);
  const auto deadline = std::chrono::steady_clock::now() + std::min<Duration>(timeout, std::chrono::hours(24));
  question->answered.wait_until(lock, stop, deadline, [&] { return question->answer.has_value(); });
  if (stop.stop_requested()) throw Stopped{};
  if (!question->answer) throw refuse("the resolver gave no answer within " + describe(timeout));
  if (question->answer->addresses.empty()) throw refuse(question->answer->failure);
  return question->answer->addresses;
}

std::vector<std::string> own_addresses() {
  struct FreeInterfaces {
    void operator()(ifaddrs* interfaces) const noexcept { ::freeifaddrs(interfaces); }
  };
  ifaddrs* found = nullptr;
  if (::getifaddrs(&found) != 0) return {};
  const std::unique_ptr<ifaddrs, FreeInterfaces> owned(found);
  std::vector<std::string> addresses;
  for (const ifaddrs* one = found; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    const int family = one->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(one->ifa_addr, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) continue;
    if (std::string_view(text.data()).find('%') == std::string_view::npos) addresses.emplace_back(text.data());
  }
  return addresses;
}

Connection connect_tcp(const std::string& address, std::uint16_t port, Duration timeout, const std::stop_token& stop) {
  if (stop.stop_requested()) throw Stopped{};
  const Addresses to = numeric_address(address, port, SOCK_STREAM);
  FileDescriptor socket = open_socket(*to);
  if (!socket.valid()) return failed(*to, errno);
  int error = ::connect(socket.get(), to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) error = await_connection(socket.get(), timeout, stop);
  if (error != 0) return failed(*to, error);
  return {std::move(socket), false, {}};
}

Connection connect_udp(const std::string& address, std::uint16_t port) {
  const Addresses to = numeric_address(address, port, SOCK_DGRAM);
  FileDescriptor socket = open_socket(*to);
  if (!socket.valid()) return failed(*to, errno);
  if (::connect(socket.get(), to->ai_addr, to->ai_addrlen) != 0) return failed(*to, errno);
  return {std::move(socket), false, {}};
}

bool wait_for_socket(int socket, SocketReady what, Duration timeout, const std::stop_token& stop) {
  const StopEvent stopped(stop);
  const auto deadline = std::chrono::steady_clock::now() + std::min<Duration>(timeout, std::chrono::hours(24));
  const short events = what == SocketReady::to_read ? POLLIN : POLLOUT;
  std::array<pollfd, 2> waiting = {{{socket, events, 0}, {stopped.descriptor(), POLLIN, 0}}};
  while (true) {
    const auto left = std::chrono::ceil<Duration>(deadline - std::chrono::steady_clock::now());
    if (left <= Duration{0}) return false;
    if (::poll(waiting.data(), waiting.size(), static_cast<int>(left.count())) < 0) continue;
    if (waiting[1].revents != 0) throw Stopped{};
    if (waiting[0].revents != 0) return true;
  }
}

}  // namespace acme_agent
