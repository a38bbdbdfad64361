#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include <acme_agent/base/error.hpp>
#include <acme_agent/net/page_listener.hpp>

#include "support/temp_dir.hpp"

using namespace acme_agent;
using acme_agent::test::TempDir;

namespace {

std::optional<Page> two_pages(const std::string& path) {
  if (path == "/") return Page{200, "text/html", "<p>hello", "style-src 'self'"};
  if (path == "/ill") return Page{503, "text/plain", "ill\n"};
  return std::nullopt;
}

std::string ask(const SocketPlace& place, std::uint16_t port, const std::string& request) {
  const bool unix_socket = std::holds_alternative<std::filesystem::path>(place);
  const int socket = ::socket(unix_socket ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit{20, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  int connected = -1;
  if (unix_socket) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::get<std::filesystem::path>(place).native().copy(address.sun_path, sizeof address.sun_path - 1);
    connected = ::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address);
  } else {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected = ::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address);
  }
  std::string all;
  if (connected == 0) {
    ::send(socket, request.data(), request.size(), MSG_NOSIGNAL);
    char chunk[4096];
    for (ssize_t got = 0; (got = ::recv(socket, chunk, sizeof chunk, 0)) > 0;)
      all.append(chunk, static_cast<std::size_t>(got));
  }
  ::close(socket);
  return all;
}

const SocketPlace loopback = Endpoint{"127.0.0.1", 0};

struct Listening {
  PageListener listener{loopback, two_pages, {}};

  std::string get(const std::string& path, const std::string& host = "localhost") {
    return ask(loopback, listener.port(), "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
  }
};

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::string complaint_of(const SocketPlace& place) {
  try {
    const PageListener listener(place, two_pages, [](std::uint16_t) { return "nginx (pid 812)"; });
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

}  // namespace

TEST_CASE("a page is shown with its status, its type, its policy and what keeps browsers careful") {
  Listening t;
  const std::string page = t.get("/");
  CHECK(page.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(page.ends_with("\r\n\r\n<p>hello"));
  for (const char* header :
       {"Content-Type: text/html\r\n", "Content-Length: 8\r\n", "Content-Security-Policy: style-src 'self'\r\n",
        "X-Content-Type-Options: nosniff\r\n", "Referrer-Policy: no-referrer\r\n", "Cache-Control: no-store\r\n",
        "Cross-Origin-Resource-Policy: same-origin\r\n", "Connection: close\r\n"})
    CHECK_MESSAGE(contains(page, header), page);
  CHECK(contains(t.get("/ill"), "HTTP/1.1 503 "));
  CHECK(contains(t.get("/ill"), "Content-Security-Policy: default-src 'none'\r\n"));
  CHECK(contains(t.get("/?refresh=1"), "200 OK"));
}

TEST_CASE("HEAD gets the headers alone") {
  Listening t;
  const std::string page = ask(loopback, t.listener.port(), "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(contains(page, "Content-Length: 8\r\n"));
  CHECK(page.ends_with("\r\n\r\n"));
}

TEST_CASE("nothing but reading is possible, and nothing of a request is said again") {
  Listening t;
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    const std::string answer =
        ask(loopback, t.listener.port(), std::string(method) + " / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK_MESSAGE(contains(answer, "HTTP/1.1 405 "), answer);
    CHECK(contains(answer, "Allow: GET, HEAD\r\n"));
  }
  CHECK(contains(t.get("/<script>"), "HTTP/1.1 404 "));
  CHECK_FALSE(contains(t.get("/<script>"), "script"));
  CHECK(contains(t.get("/../etc/passwd"), "HTTP/1.1 404 "));
  CHECK(contains(ask(loopback, t.listener.port(), "rubbish\r\n\r\n"), "HTTP/1.1 400 "));
}

TEST_CASE("on loopback a web site cannot read it by a name of its own that leads there") {
  Listening t;
  CHECK(contains(t.get("/", "evil.example"), "HTTP/1.1 421 "));
  CHECK(contains(t.get("/", "127.0.0.1.evil.example:9101"), "HTTP/1.1 421 "));
  CHECK(contains(t.get("/", "localhost.evil.example"), "HTTP/1.1 421 "));
  for (const char* host : {"localhost", "localhost:9101", "127.0.0.1:9101", "[::1]:9101", "192.168.1.2"})
    CHECK_MESSAGE(contains(t.get("/", host), "200 OK"), host);
  CHECK(contains(ask(loopback, t.listener.port(), "GET / HTTP/1.0\r\n\r\n"), "200 OK"));
}

TEST_CASE("a socket in the file system is for our user and group, and goes with the listener") {
  const TempDir folder;
  const SocketPlace place = folder / "status.sock";
  {
    const PageListener listener(place, two_pages, {});
    struct stat status {};
    REQUIRE(::stat((folder / "status.sock").c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0660);
    CHECK(contains(ask(place, 0, "GET / HTTP/1.1\r\nHost: any.example\r\n\r\n"), "200 OK"));
    CHECK(contains(complaint_of(place), "another program listens there; give another path with --status-listen"));
    CHECK(contains(ask(place, 0, "GET / HTTP/1.1\r\nHost: any.example\r\n\r\n"), "200 OK"));
  }
  CHECK_FALSE(std::filesystem::exists(folder / "status.sock"));
}

TEST_CASE("a socket that nobody listens on any more is replaced, any other file is left alone") {
  const TempDir folder;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (folder / "status.sock").native().copy(address.sun_path, sizeof address.sun_path - 1);
  const int left = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::bind(left, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  ::close(left);
  CHECK(complaint_of(folder / "status.sock").empty());

  std::ofstream(folder / "file") << "mine";
  CHECK(contains(complaint_of(folder / "file"), "there is something else that is no socket"));
  CHECK(std::filesystem::exists(folder / "file"));
  CHECK(contains(complaint_of(folder / std::string(120, 'x')), "has 107 characters at most"));
  CHECK(contains(complaint_of(folder / "none/status.sock"), "No such file or directory"));
}

TEST_CASE("a taken port is told with its holder and what to do") {
  const Listening t;
  CHECK(complaint_of(Endpoint{"127.0.0.1", t.listener.port()}) ==
        "cannot listen on 127.0.0.1:" + std::to_string(t.listener.port()) +
            " for the status page: it is taken by nginx (pid 812); stop that, or give a free port with "
            "--status-listen");
}
