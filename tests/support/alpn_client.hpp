#pragma once

#include <cstdint>
#include <string>

namespace acme_agent::test {

/// A connection to a port of 127.0.0.1.
class Connected {
 public:
  explicit Connected(std::uint16_t port);
  ~Connected();
  Connected(const Connected&) = delete;
  Connected& operator=(const Connected&) = delete;

  bool is_open() const { return open_; }
  int descriptor() const { return socket_; }
  /// As much as the other side takes at once.
  void send(const std::string& octets) const;

 private:
  int socket_;
  bool open_;
};

/// The certificate in DER that a server at this port shows to one who validates tls-alpn-01; empty if it refuses.
std::string fetch_alpn_certificate(std::uint16_t port, const std::string& server_name,
                                   const std::string& protocols =
                                       "\x0a"
                                       "acme-tls/1");

}  // namespace acme_agent::test
