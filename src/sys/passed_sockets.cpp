#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/passed_sockets.hpp>

namespace acme_agent {
namespace {

constexpr int first_passed = 3;
constexpr int most_passed = 64;

std::string take_variable(const char* name) {
  const char* value = ::getenv(name);
  const std::string text = value == nullptr ? "" : value;
  ::unsetenv(name);
  return text;
}

int number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

/// Of a socket that listens on one; nothing if it is something else.
std::optional<std::uint16_t> listening_port(int descriptor) {
  int listens = 0;
  socklen_t size = sizeof listens;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) return std::nullopt;
  sockaddr_storage address{};
  size = sizeof address;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) return std::nullopt;
  if (address.ss_family != AF_INET && address.ss_family != AF_INET6) return std::nullopt;
  // sin_port and sin6_port stand at the same place.
  return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

/// Names in the order of the sockets; an empty one stays one.
std::vector<std::string> split_names(const std::string& text) {
  std::vector<std::string> names(1);
  for (const char c : text) {
    if (c == ':')
      names.emplace_back();
    else
      names.back() += c;
  }
  return names;
}

}  // namespace

std::vector<PassedSocket> take_passed_sockets() {
  const int for_process = number(take_variable("LISTEN_PID"));
  const int count = number(take_variable("LISTEN_FDS"));
  const std::vector<std::string> names = split_names(take_variable("LISTEN_FDNAMES"));
  std::vector<PassedSocket> passed;
  if (for_process != ::getpid()) return passed;
  for (int i = 0; i < std::min(count, most_passed); ++i) {
    const int descriptor = first_passed + i;
    const std::string name = static_cast<std::size_t>(i) < names.size() ? names[static_cast<std::size_t>(i)] : "";
    const std::optional<std::uint16_t> port = listening_port(descriptor);
    if (!port)
      throw Error(Remedy::ask_operator,
                  "what was passed in as descriptor " + std::to_string(descriptor) +
                      (name.empty() ? "" : " ('" + printable(name, 100) + "')") +
                      " is no socket that listens on a TCP port: look at ListenStream= in the socket unit");
    ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
    passed.push_back({FileDescriptor(descriptor), name, *port});
  }
  return passed;
}

}  // namespace acme_agent
