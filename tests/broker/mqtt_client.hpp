#pragma once

#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>

#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/sys/tcp.hpp>

namespace acme_agent::test {

/// A client that connects once over TLS and stays: it can only ask whether it is still there (MQTT 3.1.1).
class MqttClient {
 public:
  explicit MqttClient(const Endpoint& broker)
      : connection_(connect_tcp(broker.host, broker.port, std::chrono::seconds(5), {})),
        context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free),
        ssl_(SSL_new(context_.get()), SSL_free) {
    const int flags = ::fcntl(connection_.socket.get(), F_GETFL);
    ::fcntl(connection_.socket.get(), F_SETFL, flags & ~O_NONBLOCK);
    const timeval patience{5, 0};
    ::setsockopt(connection_.socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    SSL_set_fd(ssl_.get(), connection_.socket.get());
    if (SSL_connect(ssl_.get()) != 1) throw std::runtime_error("no TLS");
    // CONNECT: MQTT 3.1.1, clean session, keep-alive 60 s, client id "t"; CONNACK: accepted.
    if (exchange(std::string("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01t", 15), 4) !=
        std::string("\x20\x02\x00\x00", 4)) {
      throw std::runtime_error("the broker refused the client");
    }
  }

  /// PINGREQ is answered by PINGRESP.
  bool alive() { return exchange(std::string("\xc0\x00", 2), 2) == std::string("\xd0\x00", 2); }

 private:
  std::string exchange(const std::string& request, std::size_t size) {
    if (SSL_write(ssl_.get(), request.data(), static_cast<int>(request.size())) <= 0) return {};
    std::string answer;
    std::array<char, 16> octets{};
    while (answer.size() < size) {
      const int count = SSL_read(ssl_.get(), octets.data(), static_cast<int>(size - answer.size()));
      if (count <= 0) return {};
      answer.append(octets.data(), static_cast<std::size_t>(count));
    }
    return answer;
  }

  Connection connection_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
};

}  // namespace acme_agent::test
