#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>

#include <acme_agent/base/error.hpp>
#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/systemd.hpp>

#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;

namespace {

/// A system bus of the test's own, where `behave` gets each connection.
class FakeBus {
 public:
  explicit FakeBus(std::function<void(int connection)> behave) : behave_(std::move(behave)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    listener_ = FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(listener_.get(), 4) == 0);
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + path()).c_str(), 1);
    thread_ = std::thread([this] {
      const FileDescriptor connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (connection.valid()) behave_(connection.get());
    });
  }
  ~FakeBus() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
  }

 private:
  std::string path() const { return (folder_ / "bus").string(); }

  const std::function<void(int)> behave_;
  test::TempDir folder_;
  FileDescriptor listener_;
  std::thread thread_;
};

void wait_for_end(int connection) {
  char buffer[4096];
  while (::recv(connection, buffer, sizeof buffer, 0) > 0) {
  }
}

Error error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("no error");
}

void reload() {
  reload_service("mosquitto.service", 300ms, {});
}

}  // namespace

TEST_CASE("where there is no system bus, that is told") {
  ::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
  for (const auto& act : {std::function<void()>(reload),
                          std::function<void()>([] { main_pid_of_service("mosquitto.service", 300ms, {}); })}) {
    const Error error = error_of(act);
    CHECK(error.remedy() == Remedy::ask_operator);
    CHECK(error.message().find("there is no system bus here") != std::string::npos);
  }
  ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}

TEST_CASE("a bus that says nothing, garbage, or nothing any more costs no more than the time limit") {
  const auto say = [](int connection, const std::string& text) {
    ::send(connection, text.data(), text.size(), MSG_NOSIGNAL);
  };
  const std::function<void(int)> manners[] = {
      wait_for_end, [](int) {},
      [&](int connection) {
        say(connection, "HTTP/1.1 400 Bad Request\r\n\r\n");
        wait_for_end(connection);
      },
      [&](int connection) {
        say(connection, "DATA\r\nOK 0123456789abcdef0123456789abcdef\r\nAGREE_UNIX_FD\r\n");
        wait_for_end(connection);
      },
      [&](int connection) {
        say(connection, "DATA\r\nOK 0123456789abcdef0123456789abcdef\r\nAGREE_UNIX_FD\r\n" + std::string(4000, 'l'));
        wait_for_end(connection);
      }};
  for (const auto& manner : manners) {
    const FakeBus bus(manner);
    const auto began = std::chrono::steady_clock::now();
    const Error error = error_of(reload);
    CAPTURE(error.message());
    CHECK(error.remedy() == Remedy::retry);
    CHECK(error.message().find("systemd") != std::string::npos);
    CHECK(std::chrono::steady_clock::now() - began < 3s);
  }
}

TEST_CASE("a stop ends the wait for systemd at once") {
  std::stop_source stop;
  const FakeBus bus([&](int connection) {
    stop.request_stop();
    wait_for_end(connection);
  });
  const auto began = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(reload_service("mosquitto.service", 60s, stop.get_token()), Stopped);
  CHECK(std::chrono::steady_clock::now() - began < 10s);
}
