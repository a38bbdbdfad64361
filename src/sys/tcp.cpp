#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/tcp.hpp>

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
  const StopEvent stopped(stop);
  const auto deadline = std::chrono::steady_clock::now() + std::min<Duration>(timeout, std::chrono::hours(24));
  std::array<pollfd, 2> waiting = {{{socket, POLLOUT, 0}, {stopped.descriptor(), POLLIN, 0}}};
  while (true) {
    const auto left = std::chrono::ceil<Duration>(deadline - std::chrono::steady_clock::now());
    if (left <= Duration{0}) return ETIMEDOUT;
    if (::poll(waiting.data(), waiting.size(), static_cast<int>(left.count())) < 0) continue;
    if (waiting[1].revents != 0) throw Stopped{};
    if (waiting[0].revents != 0) {
      int error = 0;
      socklen_t length = sizeof error;
      return ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
    }
  }
}

}  // namespace

std::vector<std::string> resolve(const std::string& host, Duration timeout, const std::stop_token& stop) {
  const auto refuse = [&host](std::string_view reason) {
    return Error(Remedy::retry, "cannot find an address of '" + printable(host) + "': " + std::string(reason));
  };
  // getaddrinfo(3) cannot be interrupted. A thread that is left behind ends when the resolver gives up.
  const auto question = std::make_shared<Question>();
  std::thread([question, host] {
    Answer answer = ask_resolver(host);
    const std::lock_guard lock(question->mutex);
    question->answer = std::move(answer);
    question->answered.notify_all();
  }).detach();

  std::unique_lock lock(question->mutex);
  const auto deadline = std::chrono::steady_clock::now() + std::min<Duration>(timeout, std::chrono::hours(24));
  question->answered.wait_until(lock, stop, deadline, [&] { return question->answer.has_value(); });
  if (stop.stop_requested()) throw Stopped{};
  if (!question->answer) throw refuse("the resolver gave no answer within " + describe(timeout));
  if (question->answer->addresses.empty()) throw refuse(question->answer->failure);
  return question->answer->addresses;
}

Connection connect_tcp(const std::string& address, std::uint16_t port, Duration timeout, const std::stop_token& stop) {
  if (stop.stop_requested()) throw Stopped{};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    throw Error(Remedy::ask_operator, "'" + printable(address) + "' is not a numeric address");
  }
  const Addresses owned(found);
  const auto failed = [found](int error) {
    return Connection{FileDescriptor(), nobody_listens(error, found->ai_family), errno_text(error)};
  };

  FileDescriptor socket(::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return failed(errno);
  int error = ::connect(socket.get(), found->ai_addr, found->ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) error = await_connection(socket.get(), timeout, stop);
  if (error != 0) return failed(error);
  return {std::move(socket), false, {}};
}

}  // namespace acme_agent
