#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include <acme_agent/base/error.hpp>
#include <acme_agent/challenge/http01_solver.hpp>
#include <acme_agent/sys/file.hpp>

#include "support/quiet_log.hpp"

using namespace acme_agent;
using namespace acme_agent::test;
using namespace std::chrono_literals;

namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// The whole answer to a GET of `path`; nothing if nobody listens.
std::optional<std::string> fetch(std::uint16_t port, const std::string& path) {
  const FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return std::nullopt;
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: mydyn.example\r\n\r\n";
  ::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL);
  std::string all;
  char chunk[1024];
  for (ssize_t count = 0; (count = ::recv(socket.get(), chunk, sizeof chunk, 0)) > 0;) {
    all.append(chunk, static_cast<std::size_t>(count));
  }
  return all;
}

const ChallengeAnswer answer = {{Identifier::Type::dns, "mydyn.example"}, "token_1", "token_1.thumbprint"};
const std::string path = "/.well-known/acme-challenge/token_1";

struct Solving {
  SystemClock clock;
  QuietLog log{clock};
  Http01Listener listener{{"127.0.0.1", 0}, [](std::uint16_t) { return std::string(); }, log};
  Http01Solver solver{listener};
  std::stop_source stop;

  std::unique_ptr<Presentation> present() { return solver.present(answer, stop.get_token()); }
};

}  // namespace

TEST_CASE("the server finds the key authorization for as long as the presentation lives") {
  Solving t;
  CHECK(t.solver.type() == "http-01");
  auto presentation = t.present();
  const std::uint16_t port = t.listener.port();
  const auto shown = fetch(port, path);
  REQUIRE(shown);
  CHECK(shown->starts_with("HTTP/1.1 200 "));
  CHECK(shown->ends_with("\r\n\r\ntoken_1.thumbprint"));
  presentation.reset();
  CHECK_FALSE(fetch(port, path));
}

TEST_CASE("a presentation counts its own visits only") {
  Solving t;
  const auto presentation = t.present();
  const auto other = t.solver.present({answer.identifier, "token_2", "token_2.thumbprint"}, {});
  CHECK(presentation->visits() == 0);
  fetch(t.listener.port(), path);
  fetch(t.listener.port(), path + "x");
  CHECK(presentation->visits() == 1);
  CHECK(other->visits() == 0);
}

TEST_CASE("waiting for a visit ends with the visit") {
  Solving t;
  const auto presentation = t.present();
  std::jthread visitor([&] { fetch(t.listener.port(), path); });
  CHECK(presentation->wait_for_visit(0, 1min, t.stop.get_token()));
  CHECK(presentation->visits() == 1);
}

TEST_CASE("waiting for a visit that never comes ends with the time-out") {
  Solving t;
  const auto presentation = t.present();
  CHECK_FALSE(presentation->wait_for_visit(0, 10ms, t.stop.get_token()));
}

TEST_CASE("a stop ends the wait for a visit at once, and is no time-out") {
  Solving t;
  const auto presentation = t.present();
  std::jthread stopper([&] { t.stop.request_stop(); });
  const Duration before = t.clock.uptime();
  CHECK_THROWS_AS(presentation->wait_for_visit(0, 1min, t.stop.get_token()), Stopped);
  CHECK(t.clock.uptime() - before < 30s);
}

TEST_CASE("an answer that cannot be shown because the port is taken is an error that names the port") {
  const FileDescriptor taken(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  REQUIRE(::bind(taken.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(::listen(taken.get(), 1) == 0);
  REQUIRE(::getsockname(taken.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
  const std::uint16_t port = ntohs(address.sin_port);

  const SystemClock clock;
  QuietLog log(clock);
  Http01Listener listener(
      {"127.0.0.1", port}, [](std::uint16_t) { return std::string("nginx (pid 812)"); }, log);
  Http01Solver solver(listener);
  std::string complaint;
  try {
    solver.present(answer, {});
  } catch (const Error& error) {
    complaint = error.message();
  }
  CHECK(complaint.find(std::to_string(port)) != std::string::npos);
  CHECK(complaint.find("nginx (pid 812)") != std::string::npos);
}
