#include "support/alpn_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>

#include <acme_agent/base/free.hpp>

namespace acme_agent::test {

Connected::Connected(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval limit{20, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  open_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

Connected::~Connected() {
  ::close(socket_);
}

void Connected::send(const std::string& octets) const {
  ::send(socket_, octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::string fetch_alpn_certificate(std::uint16_t port, const std::string& server_name, const std::string& protocols) {
  const Connected connection(port);
  const std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>> context(SSL_CTX_new(TLS_client_method()));
  const std::unique_ptr<SSL, Free<SSL_free>> ssl(SSL_new(context.get()));
  SSL_set_fd(ssl.get(), connection.descriptor());
  SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(server_name.c_str()));
  SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(protocols.data()),
                      static_cast<unsigned>(protocols.size()));
  if (SSL_connect(ssl.get()) != 1) return {};
  const std::unique_ptr<X509, Free<X509_free>> shown(SSL_get1_peer_certificate(ssl.get()));
  unsigned char* der = nullptr;
  const int size = i2d_X509(shown.get(), &der);
  std::string text(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return text;
}

}  // namespace acme_agent::test
