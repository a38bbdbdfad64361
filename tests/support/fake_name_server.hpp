#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/dns/message.hpp>

namespace acme_agent::test {

/// A question as a server sees it.
struct Asked {
  std::string query;  ///< The whole message.
  bool tcp = false;

  std::string id() const { return query.substr(0, 2); }
  /// Name, type and class, as sent.
  std::string question() const { return query.substr(12, query.find('\0', 12) + 5 - 12); }
  bool is_for(const std::string& name, RecordType type) const {
    return question() ==
           write_dns_name(name) + write_dns_number(static_cast<std::uint16_t>(type), 2) + write_dns_number(1, 2);
  }
};

/// One record in wire form.
inline std::string wire_record(const std::string& name, RecordType type, const std::string& data) {
  return write_dns_name(name) + write_dns_number(static_cast<std::uint16_t>(type), 2) + write_dns_number(1, 2) +
         write_dns_number(60, 4) + write_dns_number(data.size(), 2) + data;
}

inline std::string wire_text(const std::string& text) {
  return write_dns_number(text.size(), 1) + text;
}

inline std::string wire_soa() {
  return write_dns_name("ns1.mydyn.example") + write_dns_name("hostmaster.mydyn.example") + std::string(20, '\1');
}

/// A response to what was asked; `flags` beside those of a response.
inline std::string wire_response(const Asked& asked, int code, const std::vector<std::string>& answers,
                                 const std::vector<std::string>& authorities = {}, unsigned flags = 0) {
  std::string wire = asked.id() + write_dns_number(0x8080U | flags | static_cast<unsigned>(code), 2) +
                     write_dns_number(1, 2) + write_dns_number(answers.size(), 2) +
                     write_dns_number(authorities.size(), 2) + write_dns_number(0, 2) + asked.question();
  for (const std::string& record : answers) wire += record;
  for (const std::string& record : authorities) wire += record;
  return wire;
}

/// Answers each question on UDP and TCP with what the test says: any number of messages, also none.
class FakeNameServer {
 public:
  using Answer = std::function<std::vector<std::string>(const Asked&)>;

  explicit FakeNameServer(Answer answer, const std::string& address = "127.0.0.1", std::uint16_t port = 0)
      : answer_(std::move(answer)), end_(::eventfd(0, EFD_CLOEXEC)) {
    for (int attempt = 0; attempt < 100; ++attempt) {
      sockaddr_in at{};
      at.sin_family = AF_INET;
      at.sin_port = htons(port);
      ::inet_pton(AF_INET, address.c_str(), &at.sin_addr);
      socklen_t size = sizeof at;
      const int on = 1;
      tcp_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      udp_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      ::setsockopt(tcp_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      if (::bind(tcp_, reinterpret_cast<sockaddr*>(&at), size) == 0 &&
          ::getsockname(tcp_, reinterpret_cast<sockaddr*>(&at), &size) == 0 &&
          ::bind(udp_, reinterpret_cast<sockaddr*>(&at), size) == 0 && ::listen(tcp_, 8) == 0) {
        endpoint_ = {address, ntohs(at.sin_port)};
        thread_ = std::thread([this] { serve(); });
        return;
      }
      ::close(tcp_);
      ::close(udp_);
    }
    throw std::runtime_error("no free port");
  }
  ~FakeNameServer() {
    ::eventfd_write(end_, 1);
    thread_.join();
    for (const int descriptor : {tcp_, udp_, end_}) ::close(descriptor);
  }
  FakeNameServer(const FakeNameServer&) = delete;
  FakeNameServer& operator=(const FakeNameServer&) = delete;

  const Endpoint& endpoint() const { return endpoint_; }

  /// A connection without any answer is left to the other side to close.
  void leave_open() { leaves_open_ = true; }

 private:
  void serve() {
    for (;;) {
      std::array<pollfd, 3> ready{{{end_, POLLIN, 0}, {udp_, POLLIN, 0}, {tcp_, POLLIN, 0}}};
      if (::poll(ready.data(), ready.size(), -1) < 0) continue;
      if (ready[0].revents != 0) return;
      if (ready[1].revents != 0) answer_datagram();
      if (ready[2].revents != 0) answer_connection();
    }
  }

  void answer_datagram() {
    std::string query(65535, '\0');
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t got = ::recvfrom(udp_, query.data(), query.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 12) return;
    query.resize(static_cast<std::size_t>(got));
    for (const std::string& message : answer_({query, false}))
      if (::sendto(udp_, message.data(), message.size(), 0, reinterpret_cast<sockaddr*>(&from), size) < 0) return;
  }

  void answer_connection() {
    const int connection = ::accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
    std::string query(65535, '\0');
    const ssize_t got = ::recv(connection, query.data(), query.size(), 0);
    if (got > 14) {
      query.resize(static_cast<std::size_t>(got));
      std::string all;
      for (const std::string& message : answer_({query.substr(2), true}))
        all += write_dns_number(message.size(), 2) + message;
      if (::send(connection, all.data(), all.size(), MSG_NOSIGNAL) < 0) all.clear();
      if (all.empty() && leaves_open_) ::recv(connection, query.data(), query.size(), 0);
    }
    ::close(connection);
  }

  const Answer answer_;
  std::atomic<bool> leaves_open_ = false;
  const int end_;
  int tcp_ = -1;
  int udp_ = -1;
  Endpoint endpoint_;
  std::thread thread_;
};

}  // namespace acme_agent::test
