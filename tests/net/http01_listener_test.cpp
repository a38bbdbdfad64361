#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include <acme_agent/base/error.hpp>
#include <acme_agent/net/http01_listener.hpp>

#include "child.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;
using acme_agent::test::Child;
using Steady = std::chrono::steady_clock;

namespace {

std::atomic<bool> without_ipv6 = false;

const std::string prefix = "/.well-known/acme-challenge/";
const std::string not_found =
    "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 10\r\nContent-Type: text/plain\r\n\r\nnot found\n";
const std::string found =
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\nContent-Type: application/octet-stream\r\n\r\n";

/// A connection to a port of 127.0.0.1 or ::1.
class Client {
 public:
  explicit Client(std::uint16_t port, int family = AF_INET) : Client(family) { connect(port); }
  explicit Client(int family) : family_(family), socket_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit{20, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  Client(Client&& other) noexcept : family_(other.family_), socket_(std::exchange(other.socket_, -1)) {}
  ~Client() {
    if (socket_ >= 0) ::close(socket_);
  }

  bool connect(std::uint16_t port) {
    if (family_ == AF_INET6) {
      sockaddr_in6 address{};
      address.sin6_family = AF_INET6;
      address.sin6_port = htons(port);
      address.sin6_addr = in6addr_loopback;
      return connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  bool connected() const { return connected_; }

  /// False if the other side has gone.
  bool send(const std::string& text) {
    return ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  /// The other side need not wait for more.
  void end() { ::shutdown(socket_, SHUT_WR); }
  /// All until the other side closes.
  std::string receive() {
    std::string all;
    char chunk[1024];
    for (ssize_t got; (got = ::recv(socket_, chunk, sizeof chunk, 0)) > 0;)
      all.append(chunk, static_cast<std::size_t>(got));
    return all;
  }

 private:
  int family_;
  int socket_;
  bool connected_ = false;
};

std::string ask(std::uint16_t port, const std::string& request, int family = AF_INET) {
  Client client(port, family);
  client.send(request);
  return client.receive();
}

std::string get(const std::string& token) {
  return "GET " + prefix + token + " HTTP/1.1\r\nHost: x\r\n\r\n";
}

struct Listening {
  explicit Listening(Endpoint address = {"127.0.0.1", 0}) : listener(std::move(address), who_holds(), log) {}

  static std::function<std::string(std::uint16_t)> who_holds() {
    return [](std::uint16_t) { return std::string("nginx (pid 812)"); };
  }

  SystemClock clock;
  Log log{LogLevel::error, LogFormat::text, clock};
  Http01Listener listener;
};

struct Published : Listening {
  std::unique_ptr<Http01Listener::Answer> answer = listener.publish("token", "token.key");
  std::uint16_t port = listener.port();
};

Error failure_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("no error");
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Another process that listens at a port of its own choice.
Child other_server(const std::string& family, const std::string& address, bool reuse_port) {
  return Child({"python3", "-c",
                "import socket, time\n"
                "s = socket.socket(socket." +
                    family + ")\n" + (reuse_port ? "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n" : "") +
                    "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
                    "if s.family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)\n"
                    "s.bind(('" +
                    address +
                    "', 0))\n"
                    "s.listen()\n"
                    "print(s.getsockname()[1], flush=True)\n"
                    "time.sleep(1000)\n"});
}

/// Another process with connections that say nothing.
Child silent_clients(int count, std::uint16_t port) {
  return Child({"python3", "-c",
                "import socket, time, resource\n"
                "resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)\n"
                "c = [socket.create_connection(('127.0.0.1', " +
                    std::to_string(port) + ")) for _ in range(" + std::to_string(count) +
                    ")]\n"
                    "print('connected', flush=True)\n"
                    "time.sleep(1000)\n"});
}

std::uint16_t port_of(const Child& server) {
  return static_cast<std::uint16_t>(std::stoi(server.first_line()));
}

}  // namespace

/// Takes the place of the C library's for this whole program.
extern "C" int socket(int family, int type, int protocol) noexcept {
  if (family == AF_INET6 && without_ipv6) {
    errno = EAFNOSUPPORT;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_socket, family, type, protocol));
}

TEST_CASE("a pending token is answered with its key authorization, without a line end") {
  Published t;
  CHECK(ask(t.port, get("token")) == found + "token.key");
}

TEST_CASE("HEAD of a token tells what GET would bring") {
  Published t;
  CHECK(ask(t.port, "HEAD " + prefix + "token HTTP/1.1\r\nHost: x\r\n\r\n") == found);
}

TEST_CASE("headers of the request change nothing in the answer") {
  Published t;
  for (const std::string header :
       {"Range: bytes=0-1", "Range: bytes=0-,0-,0-,0-", "Range: nonsense, bytes=9-1,x", "Accept-Encoding: gzip, br",
        "Expect: 100-continue", "Connection: keep-alive", "Content-Length: 100"}) {
    CAPTURE(header);
    const std::string answer = ask(t.port, "GET " + prefix + "token HTTP/1.1\r\nHost: x\r\n" + header + "\r\n\r\n");
    CHECK((answer == found + "token.key" || answer == not_found));
    CHECK(answer != not_found);
  }
}

TEST_CASE("everything else gets the same short 404, whatever it says") {
  Published t;
  const std::string end = " HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::vector<std::string> requests = {
      get("other"),
      get("token?x"),
      get("token/"),
      get(""),
      get("../acme-challenge/token"),
      get("%74oken"),
      "GET /" + end,
      "GET http://x" + prefix + "token" + end,
      "GET /." + prefix + "token" + end,
      "GET /.well-known//acme-challenge/token" + end,
      "POST " + prefix + "token HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
      "PUT " + prefix + "token" + end,
      "OPTIONS *" + end,
      "BREW " + prefix + "token" + end,
      "get " + prefix + "token" + end,
      "GET " + prefix + "token HTTP/3.0\r\n\r\n",
      "GET " + prefix + "token\r\n\r\n",
      std::string("\x16\x03\x01\x02\x00\r\n\r\n", 9),
      "<script>alert(1)</script>\r\n\r\n",
      "GET " + prefix + "token HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n",
      "GET /" + std::string(20000, 'x') + end,
      std::string(100000, 'x'),
  };
  for (const std::string& request : requests) {
    CAPTURE(request.substr(0, 100));
    CHECK(ask(t.port, request) == not_found);
  }
  CHECK(t.answer->visits() == 0);
}

TEST_CASE("a request that breaks off before the end of its headers is not answered with the key authorization") {
  Published t;
  Client client(t.port);
  client.send("GET " + prefix + "token HTTP/1.1\r\nHost: x\r\n");
  client.end();
  CHECK(client.receive() == not_found);
  CHECK(t.answer->visits() == 0);
}

TEST_CASE("of requests in one go, the first is answered and the connection closed") {
  Published t;
  CHECK(ask(t.port, get("token") + get("token") + get("other")) == found + "token.key");
  CHECK(t.answer->wait_for_visit(0, 5s, {}));
  CHECK_FALSE(t.answer->wait_for_visit(1, 50ms, {}));
}

TEST_CASE("a request may come in pieces") {
  Published t;
  Client client(t.port);
  for (const char c : get("token")) client.send(std::string(1, c));
  CHECK(client.receive() == found + "token.key");
}

TEST_CASE("each token has its own answer and its own visits; only a GET is one") {
  Published t;
  const auto second = t.listener.publish("second", "second.key");
  ask(t.port, get("token"));
  ask(t.port, get("token"));
  ask(t.port, "HEAD " + prefix + "token HTTP/1.1\r\n\r\n");
  CHECK(contains(ask(t.port, get("second")), "second.key"));
  CHECK(t.answer->wait_for_visit(1, 5s, {}));
  CHECK(second->wait_for_visit(0, 5s, {}));
  CHECK(t.answer->visits() == 2);
  CHECK(second->visits() == 1);
}

TEST_CASE("a wait for a visit ends with the visit") {
  Published t;
  auto waiting = std::async(std::launch::async, [&] { return t.answer->wait_for_visit(0, 20s, {}); });
  CHECK(waiting.wait_for(50ms) == std::future_status::timeout);
  ask(t.port, get("token"));
  CHECK(waiting.wait_for(5s) == std::future_status::ready);
  CHECK(waiting.get());
  CHECK_FALSE(t.answer->wait_for_visit(1, 10ms, {}));
}

TEST_CASE("a stop ends a wait for a visit at once") {
  Published t;
  std::stop_source stop;
  auto waiting = std::async(std::launch::async, [&] { return t.answer->wait_for_visit(0, 20s, stop.get_token()); });
  CHECK(waiting.wait_for(50ms) == std::future_status::timeout);
  stop.request_stop();
  CHECK(waiting.wait_for(100ms) == std::future_status::ready);
  CHECK_FALSE(waiting.get());
}

TEST_CASE("a token is gone with its answer, the port with the last one") {
  Published t;
  auto second = t.listener.publish("second", "second.key");
  t.answer.reset();
  CHECK(ask(t.port, get("token")) == not_found);
  CHECK(contains(ask(t.port, get("second")), "second.key"));
  second.reset();
  CHECK(t.listener.port() == 0);
  CHECK_FALSE(Client(t.port).connected());
}

TEST_CASE("the port can be taken again at once, also by another listener") {
  Published t;
  for (int i = 0; i < 20; ++i) {
    Client half_open(t.port);
    ask(t.port, get("token"));
    t.answer.reset();
    Listening next({"127.0.0.1", t.port});
    const auto answer = next.listener.publish("next", "next.key");
    CHECK(contains(ask(t.port, get("next")), "next.key"));
  }
}

TEST_CASE("a token that is published twice stays until both are gone") {
  Published t;
  auto again = t.listener.publish("token", "token.key");
  t.answer.reset();
  CHECK(ask(t.port, get("token")) == found + "token.key");
  CHECK(again->wait_for_visit(0, 5s, {}));
}

TEST_CASE("an answer may outlive its listener") {
  SystemClock clock;
  Log log(LogLevel::error, LogFormat::text, clock);
  std::unique_ptr<Http01Listener::Answer> answer;
  std::uint16_t port = 0;
  {
    Http01Listener listener({"127.0.0.1", 0}, {}, log);
    answer = listener.publish("token", "token.key");
    port = listener.port();
  }
  CHECK(ask(port, get("token")) == found + "token.key");
  answer.reset();
  CHECK_FALSE(Client(port).connected());
}

TEST_CASE("many threads may publish, be visited and withdraw at once") {
  Listening t;
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&t, &right, i] {
        for (int j = 0; j < 25; ++j) {
          const std::string token = std::to_string(i) + "-" + std::to_string(j);
          const auto answer = t.listener.publish(token, token + ".key");
          const bool answered = ask(t.listener.port(), get(token)).ends_with(token + ".key");
          if (answered && answer->wait_for_visit(0, 5s, {})) ++right;
        }
      });
    }
  }
  CHECK(right == 8 * 25);
  CHECK(t.listener.port() == 0);
}

TEST_CASE(
    "a socket that is passed in is held all the time: strangers get 404 at once, the token is found while it is "
    "pending") {
  const int passed = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  socklen_t size = sizeof address;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(passed, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(passed, 8) == 0);
  REQUIRE(::getsockname(passed, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const std::uint16_t port = ntohs(address.sin_port);

  const SystemClock clock;
  Log log(LogLevel::error, LogFormat::text, clock);
  auto listener = std::make_unique<Http01Listener>(std::vector<int>{passed}, log);
  CHECK(listener->port() == port);
  for (int i = 0; i < 2; ++i) {
    CHECK(ask(port, get("token_1")) == not_found);
    const auto answer = listener->publish("token_1", "key auth.");
    CHECK(ask(port, get("token_1")) == found + "key auth.");
    CHECK(answer->wait_for_visit(0, 5s, {}));
  }
  CHECK(ask(port, get("token_1")) == not_found);
  listener.reset();
  CHECK_FALSE(Client(port).connected());
}

TEST_CASE("a port that another process listens on is an error that names it and its holder") {
  for (const bool reuse_port : {false, true}) {
    for (const std::string address : {"127.0.0.1", "0.0.0.0"}) {
      CAPTURE(reuse_port);
      CAPTURE(address);
      const Child other = other_server("AF_INET", address, reuse_port);
      Listening t({"127.0.0.1", port_of(other)});
      const Error error = failure_of([&] { t.listener.publish("token", "token.key"); });
      CHECK(error.remedy() == Remedy::retry);
      CHECK(contains(error.message(), "cannot listen on 127.0.0.1:" + other.first_line() +
                                          " for the HTTP-01 challenge: it is taken by nginx (pid 812); stop that"));
    }
  }
}

TEST_CASE("two listeners cannot share a port, and the second can have it after the first") {
  Published first;
  Listening second({"127.0.0.1", first.port});
  CHECK_THROWS_AS(second.listener.publish("token", "token.key"), Error);
  CHECK(ask(first.port, get("token")) == found + "token.key");
  first.answer.reset();
  CHECK_NOTHROW(second.listener.publish("token", "token.key"));
}

TEST_CASE("a port that is taken for one family only is an error that says which") {
  for (const auto& [family, address, name] : {std::tuple{"AF_INET", "0.0.0.0", "IPv4"}, {"AF_INET6", "::", "IPv6"}}) {
    const Child other = other_server(family, address, true);
    Listening t({"", port_of(other)});
    const Error error = failure_of([&] { t.listener.publish("token", "token.key"); });
    CHECK(contains(error.message(), std::string("cannot listen on ") + name + " port " + other.first_line() + " for"));
    CHECK(t.listener.port() == 0);
  }
}

namespace {

/// On a port that is free for both families: the kernel chooses for one of them.
std::unique_ptr<Http01Listener::Answer> publish_everywhere(Http01Listener& listener) {
  for (int attempt = 0; attempt < 20; ++attempt) {
    try {
      return listener.publish("token", "token.key");
    } catch (const Error&) {
    }
  }
  throw std::runtime_error("no port is free for IPv4 and IPv6");
}

}  // namespace

TEST_CASE("without an address, IPv4 and IPv6 are both answered") {
  Listening t({"", 0});
  const auto answer = publish_everywhere(t.listener);
  CHECK(ask(t.listener.port(), get("token"), AF_INET) == found + "token.key");
  CHECK(ask(t.listener.port(), get("token"), AF_INET6) == found + "token.key");
}

TEST_CASE("a machine without IPv6 is served by IPv4") {
  without_ipv6 = true;
  Listening t({"", 0});
  const auto answer = t.listener.publish("token", "token.key");
  CHECK(ask(t.listener.port(), get("token")) == found + "token.key");
  without_ipv6 = false;
}

TEST_CASE("an IPv6 address on a machine without IPv6 is an error") {
  without_ipv6 = true;
  Listening t({"::1", 0});
  CHECK(contains(failure_of([&] { t.listener.publish("token", "token.key"); }).message(), "cannot listen on [::1]:0"));
  without_ipv6 = false;
}

TEST_CASE("an address that is none, or not this machine's, is an error") {
  CHECK(failure_of([] { Listening({"localhost", 0}).listener.publish("t", "k"); }).remedy() == Remedy::ask_operator);
  CHECK(contains(failure_of([] {
                   Listening({"192.0.2.1", 0}).listener.publish("t", "k");
                 }).message(),
                 "cannot listen on 192.0.2.1:0 for the HTTP-01 challenge: this machine does not have that address"));
}

TEST_CASE("sixty clients that send a byte a second keep nobody else waiting, and are gone after ten seconds") {
  Published t;
  std::vector<Client> slow;
  const auto begun = Steady::now();
  for (int i = 0; i < 60; ++i) slow.emplace_back(t.port);

  const std::string trickle = get("token-that-is-not-there-and-takes-long-to-ask-for");
  bool any_alive = true;
  for (std::size_t second = 0; any_alive && second < 13; ++second) {
    any_alive = false;
    for (Client& client : slow) any_alive = client.send(trickle.substr(second, 1)) || any_alive;
    const auto before = Steady::now();
    CHECK(ask(t.port, get("token")) == found + "token.key");
    CHECK(Steady::now() - before < 1s);
    std::this_thread::sleep_until(begun + std::chrono::seconds(second + 1));
  }
  CHECK_FALSE(any_alive);
  CHECK(Steady::now() - begun > 10s);
}

TEST_CASE("nine hundred silent clients do not shut the CA out, nor delay the end") {
  Published t;
  const Child silent = silent_clients(900, t.port);
  REQUIRE(silent.first_line() == "connected");
  const auto before = Steady::now();
  CHECK(ask(t.port, get("token")) == found + "token.key");
  CHECK(Steady::now() - before < 1s);

  const auto end = Steady::now();
  t.answer.reset();
  CHECK(Steady::now() - end < 100ms);
  CHECK_FALSE(Client(t.port).connected());
}

TEST_CASE("where descriptors run out, the oldest connection makes room for the CA") {
  Published t;
  Client early(AF_INET);
  Client ca(AF_INET);
  const int next = ::fcntl(STDERR_FILENO, F_DUPFD, 0);
  ::close(next);
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);

  const rlimit scarce{static_cast<rlim_t>(next + 10), before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &scarce);
  early.connect(t.port);
  const Child silent = silent_clients(20, t.port);
  ca.connect(t.port);
  ca.send(get("token"));
  const std::string answer = ca.receive();
  ::setrlimit(RLIMIT_NOFILE, &before);

  CHECK(silent.first_line() == "connected");
  CHECK(answer == found + "token.key");
  CHECK(early.receive().empty());
}

/// For threads to come; what glibc takes where the stack is unlimited.
struct SmallStacks {
  pthread_attr_t usual{};
  SmallStacks() {
    ::pthread_getattr_default_np(&usual);
    pthread_attr_t small{};
    ::pthread_attr_init(&small);
    ::pthread_attr_setstacksize(&small, std::size_t{2} << 20);
    ::pthread_setattr_default_np(&small);
    ::pthread_attr_destroy(&small);
  }
  ~SmallStacks() {
    ::pthread_setattr_default_np(&usual);
    ::pthread_attr_destroy(&usual);
  }
};

TEST_CASE("a long range does not end the agent, as little stack as its threads have") {
  const SmallStacks small;
  Listening l;
  const auto answer = l.listener.publish("token", "auth");
  for (const std::string& name : {std::string("Range"), std::string("rANGE")}) {
    std::string range = name + ": bytes=0-0";
    while (range.size() < 7900) range += ",-";
    CHECK(ask(l.listener.port(), "GET /x HTTP/1.1\r\nHost: x\r\n" + range + "\r\n\r\n") == not_found);
  }
}
