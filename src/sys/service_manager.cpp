#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstring>

#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/service_manager.hpp>

namespace acme_agent {
namespace {

/// Nothing if the variable is not set, or is not a whole number above 0.
std::optional<std::int64_t> number_in(const char* name) noexcept {
  const char* const variable = ::getenv(name);
  if (variable == nullptr) return std::nullopt;
  const std::string_view text = variable;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number <= 0) return std::nullopt;
  return number;
}

}  // namespace

void notify_service_manager(std::string_view state) noexcept {
  const char* const variable = ::getenv("NOTIFY_SOCKET");
  if (variable == nullptr) return;
  const std::string_view path = variable;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';  // The abstract name space of Linux.

  const FileDescriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  ::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), length);
}

std::optional<std::chrono::microseconds> watchdog_time() noexcept {
  const std::optional<std::int64_t> time = number_in("WATCHDOG_USEC");
  const bool meant = ::getenv("WATCHDOG_PID") == nullptr || number_in("WATCHDOG_PID") == ::getpid();
  if (!time || !meant) return std::nullopt;
  return std::chrono::microseconds(*time);
}

}  // namespace acme_agent
