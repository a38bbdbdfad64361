#include <doctest/doctest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include <acme_agent/base/error.hpp>
#include <acme_agent/sys/tcp.hpp>
#include <acme_agent/sys/udp.hpp>

#include "child.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;

namespace {

/// A bound socket on a port of the kernel's choice.
struct Server {
  explicit Server(int family) : socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (!socket.valid()) return;
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_addr = in6addr_loopback;
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bound = family == AF_INET ? ::bind(socket.get(), reinterpret_cast<sockaddr*>(&v4), sizeof v4) == 0
                              : ::bind(socket.get(), reinterpret_cast<sockaddr*>(&v6), sizeof v6) == 0;
    socklen_t length = sizeof v6;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&v6), &length);
    port = ntohs(v6.sin6_port);  // At the same place in both.
  }

  FileDescriptor socket;
  bool bound = false;
  std::uint16_t port = 0;
};

/// A listener whose queue is full: who connects gets no answer.
struct SilentServer : Server {
  SilentServer() : Server(AF_INET) {
    REQUIRE(::listen(socket.get(), 0) == 0);
    waiting = connect_tcp("127.0.0.1", port, 10s, {});
    REQUIRE(waiting.socket.valid());
  }
  Connection waiting;
};

Duration uptime() {
  return SystemClock().uptime();
}

}  // namespace

TEST_CASE("a connection to a listener stands, over IPv4 and IPv6") {
  for (const int family : {AF_INET, AF_INET6}) {
    const Server server(family);
    if (!server.bound) continue;  // No IPv6 here.
    REQUIRE(::listen(server.socket.get(), 1) == 0);
    const Connection connection = connect_tcp(family == AF_INET ? "127.0.0.1" : "::1", server.port, 10s, {});
    CHECK(connection.socket.valid());
    CHECK_FALSE(connection.refused);
    CHECK(connection.failure == "");
    const FileDescriptor accepted(::accept(server.socket.get(), nullptr, nullptr));
    CHECK(accepted.valid());
  }
}

TEST_CASE("a port where nobody listens refuses") {
  const Server server(AF_INET);
  const Connection connection = connect_tcp("127.0.0.1", server.port, 10s, {});
  CHECK_FALSE(connection.socket.valid());
  CHECK(connection.refused);
  CHECK(connection.failure == "connection refused");
}

TEST_CASE("a server that does not answer costs the time-out and is not taken for a refusal") {
  const SilentServer server;
  const Duration before = uptime();
  const Connection connection = connect_tcp("127.0.0.1", server.port, 200ms, {});
  CHECK(uptime() - before >= 200ms);
  CHECK_FALSE(connection.socket.valid());
  CHECK_FALSE(connection.refused);
  CHECK(connection.failure == "connection timed out");
}

TEST_CASE("a stop ends a connection attempt at once") {
  const SilentServer server;
  std::stop_source stop;
  const std::jthread stopper([&] { stop.request_stop(); });
  const Duration before = uptime();
  CHECK_THROWS_AS(connect_tcp("127.0.0.1", server.port, 10min, stop.get_token()), Stopped);
  CHECK(uptime() - before < 10s);
  CHECK_THROWS_AS(connect_tcp("127.0.0.1", server.port, 10min, stop.get_token()), Stopped);
}

TEST_CASE("only numeric addresses are connected to") {
  CHECK_THROWS_AS(connect_tcp("localhost", 1, 1s, {}), Error);
}

TEST_CASE("a numeric address resolves to itself, once, in canonical text") {
  CHECK(resolve("192.0.2.7", 10s, {}) == std::vector<std::string>{"192.0.2.7"});
  CHECK(resolve("2001:DB8::0:1", 10s, {}) == std::vector<std::string>{"2001:db8::1"});
}

TEST_CASE("localhost is this machine on both families, whatever the resolver says") {
  CHECK(resolve("localhost", 10s, {}) == std::vector<std::string>{"127.0.0.1", "::1"});
}

TEST_CASE("a host that does not exist is an error that may pass, naming it") {
  try {
    resolve("no such host", 10s, {});
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::retry);
    CHECK(error.message().find("cannot find an address of 'no such host': ") == 0);
  }
}

TEST_CASE("nothing is resolved after a stop") {
  std::stop_source stop;
  stop.request_stop();
  CHECK_THROWS_AS(resolve("localhost", 10s, stop.get_token()), Stopped);
}

TEST_CASE("neither a stop nor the time-out waits for a resolver that hangs") {
  const test::TempDir folder;
  std::ofstream(folder / "resolv.conf") << "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n";
  std::ofstream(folder / "nsswitch.conf") << "hosts: dns\n";
  const std::string failure = test::in_child([&]() -> std::string {
    if (::unshare(CLONE_NEWNS | CLONE_NEWNET) != 0) return "skip";
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "skip";
    for (const char* name : {"resolv.conf", "nsswitch.conf"}) {
      const std::string target = std::string("/etc/") + name;
      if (::mount((folder / name).c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0) return "skip";
    }
    const FileDescriptor server(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq loopback{};
    std::copy_n("lo", 3, loopback.ifr_name);
    loopback.ifr_flags = IFF_UP;
    if (::ioctl(server.get(), SIOCSIFFLAGS, &loopback) != 0) return "skip";
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(53);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return "cannot bind";

    const Duration start = uptime();
    std::stop_source stop;
    const std::jthread stopper([&] {
      char query = 0;
      ::recv(server.get(), &query, 1, 0);  // The resolver asked, and waits for us now.
      stop.request_stop();
    });
    try {
      resolve("mydyn.example", 10min, stop.get_token());
      return "it resolved";
    } catch (const Stopped&) {
    }
    try {
      resolve("mydyn.example", 100ms, {});
      return "it resolved";
    } catch (const Error& error) {
      if (error.message().find("no answer within 100 milliseconds") == std::string::npos) return error.message();
    }
    return uptime() - start < 10s ? "" : "it took too long";
  });
  if (failure == "skip") {
    MESSAGE("skipped: no-namespaces");
    return;
  }
  CHECK(failure == "");
}

TEST_CASE("this machine knows its own addresses") {
  const std::vector<std::string> addresses = own_addresses();
  CHECK(std::find(addresses.begin(), addresses.end(), "127.0.0.1") != addresses.end());
  for (const std::string& address : addresses) CHECK(address.find('%') == std::string::npos);
}

TEST_CASE("a UDP socket can be waited for, and the wait ends with the time or a stop") {
  const Connection one = connect_udp("127.0.0.1", 9);
  REQUIRE(one.socket.valid());
  CHECK_FALSE(wait_for_socket(one.socket.get(), SocketReady::to_read, 20ms, {}));
  CHECK(wait_for_socket(one.socket.get(), SocketReady::to_write, 1s, {}));
  std::stop_source stop;
  stop.request_stop();
  CHECK_THROWS_AS(wait_for_socket(one.socket.get(), SocketReady::to_read, 10s, stop.get_token()), Stopped);
  CHECK_THROWS_AS(connect_udp("localhost", 9), Error);
}

TEST_CASE("where there is no thread to ask the resolver, that is told") {
  const std::string failure = test::in_child_with_tasks(1, []() -> std::string {
    try {
      resolve("localhost", 5s, {});
      return "it resolved";
    } catch (const Error& error) {
      return error.message().find("no thread") == std::string::npos ? error.message() : "";
    }
  });
  if (failure == "skip") {
    MESSAGE("skipped: no-task-limit");
    return;
  }
  CHECK(failure == "");
}
