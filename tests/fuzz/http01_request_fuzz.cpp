#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include <acme_agent/net/http01_listener.hpp>

#include "fuzz.hpp"
#include "support/fake_clock.hpp"

namespace acme_agent::fuzz {
namespace {

constexpr std::size_t largest_request = 8192;
constexpr std::string_view token = "a_token-0123456789";
constexpr std::string_view key_authorization = "a_token-0123456789.thumbprint";
constexpr std::string_view path = "/.well-known/acme-challenge/a_token-0123456789";

/// A client of its own loopback address that ends with a reset: thousands in a second must not use up the ports that
/// others on this machine need.
class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    constexpr int yes = 1;
    const linger reset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    static std::uint32_t clients = 0;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 0x10000 + clients++ % 0x10000);
    ::setsockopt(socket_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    ::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    expect(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "the port is open",
           std::generic_category().message(errno));
  }
  ~Client() { ::close(socket_); }

  void say(std::string_view text) const { ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL); }
  void say_no_more() const { ::shutdown(socket_, SHUT_WR); }

  std::string hear() const {
    std::string answer;
    std::array<char, 4096> part;
    for (ssize_t got = 0; (got = ::recv(socket_, part.data(), part.size(), 0)) > 0;) {
      answer.append(part.data(), static_cast<std::size_t>(got));
    }
    return answer;
  }

 private:
  const int socket_;
};

std::string answer(std::string_view status, std::string_view type, std::string_view body, bool head) {
  return "HTTP/1.1 " + std::string(status) + "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nContent-Type: " + std::string(type) + "\r\n\r\n" + std::string(head ? "" : body);
}

}  // namespace

/// The last octet says how much of the rest is sent by itself.
void one_input(std::string_view input) {
  static const test::FakeClock clock;
  static Log log(LogLevel::error, LogFormat::text, clock);
  static Http01Listener listener(
      {"127.0.0.1", 0}, [](std::uint16_t) { return std::string(); }, log);
  static const auto pending = listener.publish(std::string(token), std::string(key_authorization));
  static const std::uint16_t port = listener.port();

  static const std::string found = answer("200 OK", "application/octet-stream", key_authorization, false);
  static const std::string head = answer("200 OK", "application/octet-stream", key_authorization, true);
  static const std::string missing = answer("404 Not Found", "text/plain", "not found\n", false);
  static const std::string missing_head = answer("404 Not Found", "text/plain", "not found\n", true);

  const std::size_t first = input.empty() ? 0 : static_cast<unsigned char>(input.back());
  if (!input.empty()) input.remove_suffix(1);
  const unsigned visits = pending->visits();
  const Client client(port);
  if (first > 0 && first < input.size()) client.say(input.substr(0, first));
  client.say(input.substr(first < input.size() ? first : 0));
  const bool whole = input.find("\r\n\r\n") != std::string_view::npos || input.size() >= largest_request;
  if (!whole) client.say_no_more();
  const std::string heard = client.hear();

  // httplib does not mind tabs and further spaces, and leaves out a fragment, which no request has (RFC 9112 3.2).
  std::string line(input.substr(0, input.find('\n')));
  std::erase_if(line, [](char c) { return c == ' ' || c == '\t'; });
  const auto asks = [&line](std::string_view method) {
    const std::string start = std::string(method) + std::string(path);
    return line.starts_with(start + "HTTP/") || line.starts_with(start + "#");
  };
  if (heard == found) {
    expect(asks("GET"), "only a GET of the token gets the key authorization", input);
    expect(pending->wait_for_visit(visits, std::chrono::seconds(5), {}), "a visit is noticed", input);
  } else {
    expect(heard != head || asks("HEAD"), "only a HEAD of the token is told that there is one", input);
    expect(heard.empty() || heard == head || heard == missing || heard == missing_head,
           "an answer is one of four, and repeats nothing of the request", heard);
  }
  const std::string plain = "GET " + std::string(path) + " HTTP/1.1\r\nHost: mydyn.example\r\n\r\n";
  if (input.starts_with(plain)) expect(heard == found, "a plain request is answered", heard);
}

}  // namespace acme_agent::fuzz
