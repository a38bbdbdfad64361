#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>

#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/service_manager.hpp>

#include "support/temp_dir.hpp"

using namespace acme_agent;

namespace {

/// What systemd's end would receive at `path` ('@' for the abstract name space) when `state` is told.
std::string told_at(const std::string& path, const std::string& state) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);

  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  notify_service_manager(state);
  ::unsetenv("NOTIFY_SOCKET");
  std::array<char, 4096> text{};
  const ssize_t count = ::recv(socket.get(), text.data(), text.size(), 0);
  return {text.data(), static_cast<std::size_t>(count < 0 ? 0 : count)};
}

}  // namespace

TEST_CASE("the service manager is told in one datagram") {
  const test::TempDir folder;
  CHECK(told_at((folder / "notify").string(), "READY=1\nSTATUS=all is well") == "READY=1\nSTATUS=all is well");
}

TEST_CASE("a socket in the abstract name space is reached") {
  CHECK(told_at("@acme-agent-test-" + std::to_string(::getpid()), "READY=1") == "READY=1");
}

TEST_CASE("without a service manager, or with one that is gone, nothing happens") {
  ::unsetenv("NOTIFY_SOCKET");
  notify_service_manager("READY=1");
  for (const std::string& path : {std::string("/nowhere/notify"), std::string(), std::string(500, 'x')}) {
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    notify_service_manager("READY=1");
  }
  ::unsetenv("NOTIFY_SOCKET");
}

TEST_CASE("the service manager watches only whom it means, and for a time that is one") {
  ::unsetenv("WATCHDOG_PID");
  ::unsetenv("WATCHDOG_USEC");
  CHECK(!watchdog_time());
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  CHECK(watchdog_time() == std::chrono::seconds(3));
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  CHECK(watchdog_time() == std::chrono::seconds(3));
  ::setenv("WATCHDOG_PID", std::to_string(::getppid()).c_str(), 1);
  CHECK(!watchdog_time());
  ::unsetenv("WATCHDOG_PID");
  ::setenv("WATCHDOG_USEC", "86400000000", 1);
  CHECK(watchdog_time() == std::chrono::hours(24));
  for (const char* const bad : {"", "0", "-1", "3s", "99999999999999999999"}) {
    ::setenv("WATCHDOG_USEC", bad, 1);
    CHECK(!watchdog_time());
  }
  ::unsetenv("WATCHDOG_USEC");
}
