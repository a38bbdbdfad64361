#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <future>
#include <vector>

#include <acme_agent/control/control_socket.hpp>

#include "support/temp_dir.hpp"
#include "sys/child.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;

TEST_CASE("a caller gets the answer to its line") {
  const test::TempDir folder;
  const ControlServer server(folder / "s", [](const std::string& request, const auto&) { return "heard " + request; });
  CHECK(ask_control(folder / "s", "renew") == "heard renew");
  CHECK(ask_control(folder / "s", "again") == "heard again");
}

TEST_CASE("nobody but the owner may open the socket") {
  const test::TempDir folder;
  const ControlServer server(folder / "s", [](const std::string&, const auto&) { return ""; });
  struct stat status {};
  REQUIRE(::stat((folder / "s").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("where nobody listens there is no answer") {
  const test::TempDir folder;
  CHECK_FALSE(ask_control(folder / "s", "renew"));
  {
    const ControlServer server(folder / "s", [](const std::string&, const auto&) { return ""; });
  }
  CHECK_FALSE(ask_control(folder / "s", "renew"));
  CHECK_FALSE(std::filesystem::exists(folder / "s"));
}

TEST_CASE("a socket left by a process that was killed is replaced") {
  const test::TempDir folder;
  const int left = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (folder / "s").string().copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(left, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  ::close(left);
  const ControlServer server(folder / "s", [](const std::string&, const auto&) { return "here"; });
  CHECK(ask_control(folder / "s", "?") == "here");
}

TEST_CASE("the path may be longer than a socket address") {
  const test::TempDir folder;
  const std::filesystem::path deep = folder / std::string(90, 'a') / std::string(90, 'b');
  std::filesystem::create_directories(deep);
  const ControlServer server(deep / "s", [](const std::string&, const auto&) { return "here"; });
  CHECK(ask_control(deep / "s", "?") == "here");
}

TEST_CASE("a line without end is not read for ever") {
  const test::TempDir folder;
  bool called = false;
  const ControlServer server(folder / "s", [&](const std::string&, const auto&) {
    called = true;
    return "";
  });
  CHECK_FALSE(ask_control(folder / "s", std::string(100'000, 'x')));
  CHECK_FALSE(called);
}

TEST_CASE("a stop ends a conversation that waits, and a caller that says nothing") {
  const test::TempDir folder;
  std::future<std::optional<std::string>> answer;
  std::promise<void> entered;
  const auto begin = std::chrono::steady_clock::now();
  {
    const ControlServer server(folder / "s", [&](const std::string&, const std::stop_token& stop) {
      entered.set_value();
      std::promise<void> stopped;
      const std::stop_callback told(stop, [&] { stopped.set_value(); });
      stopped.get_future().wait();
      return std::string("stopped");
    });
    answer = std::async(std::launch::async, [&] { return ask_control(folder / "s", "wait"); });
    entered.get_future().wait();
  }
  CHECK(answer.get() == "stopped");
  CHECK(std::chrono::steady_clock::now() - begin < 2s);
}

TEST_CASE("where there is no thread for a conversation, the caller is hung up on") {
  const test::TempDir folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0777));
  const std::string failure = test::in_child_with_tasks(2, [&]() -> std::string {
    const ControlServer server(folder / "s", [](const std::string&, const auto&) { return "here"; });
    return ask_control(folder / "s", "renew") ? "it was answered" : "";
  });
  if (failure == "skip") {
    MESSAGE("skipped: no-task-limit");
    return;
  }
  CHECK(failure == "");
}
