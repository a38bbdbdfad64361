#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/tls_peer.hpp>

#include "openssl.hpp"

namespace acme_agent {
namespace {

using SslContext = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Free<SSL_free>>;

/// Ends the handshake; becomes TlsPeer::failure.
struct HandshakeFailed {
  std::string reason;
  bool timed_out = false;
};

SslContext make_context(TlsClient client) {
  SslContext context(SSL_CTX_new(TLS_client_method()));
  require(context != nullptr, "to prepare a handshake");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  if (client == TlsClient::rsa_tls12) {
    require(SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) == 1 &&
                SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION) == 1 &&
                SSL_CTX_set_cipher_list(context.get(), "ECDHE-RSA-AES128-GCM-SHA256:aRSA") == 1,
            "to prepare a handshake");
  }
  if (client == TlsClient::tasmota) {
    require(SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) == 1 &&
                SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION) == 1 &&
                SSL_CTX_set_cipher_list(context.get(), "ECDHE-RSA-AES128-GCM-SHA256") == 1 &&
                SSL_CTX_set1_groups_list(context.get(), "P-256") == 1 &&
                SSL_CTX_set1_sigalgs_list(context.get(), "RSA+SHA256") == 1 &&
                SSL_CTX_set_tlsext_max_fragment_length(context.get(), TLSEXT_max_fragment_length_1024) == 1,
            "to prepare a handshake");
  }
  return context;
}

SSL_CTX* context_of(TlsClient client) {
  static const SslContext standard = make_context(TlsClient::standard);
  static const SslContext rsa_tls12 = make_context(TlsClient::rsa_tls12);
  static const SslContext tasmota = make_context(TlsClient::tasmota);
  switch (client) {
    case TlsClient::tasmota:
      return tasmota.get();
    case TlsClient::rsa_tls12:
      return rsa_tls12.get();
    default:
      return standard.get();
  }
}

bool is_address(const std::string& name) {
  std::array<unsigned char, sizeof(in6_addr)> octets{};
  return ::inet_pton(AF_INET, name.c_str(), octets.data()) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), octets.data()) == 1;
}

class EventDescriptor {
 public:
  EventDescriptor() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (event_ < 0) throw Error(Remedy::retry, "no eventfd: " + std::generic_category().message(errno));
  }
  ~EventDescriptor() { ::close(event_); }
  EventDescriptor(const EventDescriptor&) = delete;
  EventDescriptor& operator=(const EventDescriptor&) = delete;

  int get() const { return event_; }

 private:
  const int event_;
};

/// Carries octets between the memory that OpenSSL works on and the socket, with one deadline for all of them.
/// OpenSSL is not given the socket itself, because it would raise SIGPIPE.
class Wire {
 public:
  Wire(int socket, SSL* ssl, Duration timeout, const std::stop_token& stop)
      : socket_(socket),
        in_(SSL_get_rbio(ssl)),
        out_(SSL_get_wbio(ssl)),
        timeout_(timeout),
        deadline_(std::chrono::steady_clock::now() + timeout),
        stop_(stop),
        on_stop_(stop, Wake{stopped_.get()}) {}

  void send_all() {
    std::array<char, 4096> octets{};
    for (int size = read_out(octets); size > 0; size = read_out(octets)) {
      for (int sent = 0; sent < size;) {
        const ssize_t count =
            ::send(socket_, octets.data() + sent, static_cast<std::size_t>(size - sent), MSG_NOSIGNAL);
        if (count >= 0) {
          sent += static_cast<int>(count);
        } else if (errno == EAGAIN) {
          wait_for(POLLOUT);
        } else if (errno != EINTR) {
          fail_with_errno();
        }
      }
    }
  }

  /// For an alert: the socket takes it at once, or the other side does without.
  void send_what_fits() noexcept {
    std::array<char, 4096> octets{};
    const int size = read_out(octets);
    if (size > 0) ::send(socket_, octets.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  /// Waits for some octets from the server.
  void receive() {
    std::array<char, 16384> octets{};
    for (;;) {
      wait_for(POLLIN);
      const ssize_t count = ::recv(socket_, octets.data(), octets.size(), 0);
      if (count > 0) {
        answered_ = true;
        require(BIO_write(in_, octets.data(), static_cast<int>(count)) == count, "to keep what a server sent");
        return;
      }
      if (count == 0) throw HandshakeFailed{"the server closed the connection during the handshake"};
      if (errno != EAGAIN && errno != EINTR) fail_with_errno();
    }
  }

 private:
  struct Wake {
    int event;
    void operator()() const noexcept { ::eventfd_write(event, 1); }
  };

  int read_out(std::array<char, 4096>& octets) noexcept {
    return BIO_read(out_, octets.data(), static_cast<int>(octets.size()));
  }

  void wait_for(short readiness) {
    for (;;) {
      if (stop_.stop_requested()) throw Stopped{};
      const auto left = std::chrono::ceil<Duration>(deadline_ - std::chrono::steady_clock::now());
      if (left <= Duration::zero()) {
        throw HandshakeFailed{answered_ ? "the handshake was not finished within " + describe(timeout_)
                                        : "the server said nothing for " + describe(timeout_),
                              true};
      }
      std::array<pollfd, 2> descriptors{{{socket_, readiness, 0}, {stopped_.get(), POLLIN, 0}}};
      ::poll(descriptors.data(), descriptors.size(),
             static_cast<int>(std::min<Duration>(left, std::chrono::hours(1)).count()));
      if (descriptors[0].revents != 0) return;
    }
  }

  [[noreturn]] static void fail_with_errno() {
    throw HandshakeFailed{"the connection broke during the handshake: " + std::generic_category().message(errno)};
  }

  const int socket_;
  BIO* const in_;
  BIO* const out_;
  const Duration timeout_;
  const std::chrono::steady_clock::time_point deadline_;
  const std::stop_token stop_;
  bool answered_ = false;
  const EventDescriptor stopped_;
  const std::stop_callback<Wake> on_stop_;  // goes before the descriptor that it writes to
};

Ssl make_ssl(const std::string& server_name, TlsClient client) {
  Ssl ssl(SSL_new(context_of(client)));
  Bio in(BIO_new(BIO_s_mem()));
  Bio out(BIO_new(BIO_s_mem()));
  require(ssl != nullptr && in != nullptr && out != nullptr, "to prepare a handshake");
  SSL_set_bio(ssl.get(), in.release(), out.release());
  SSL_set_connect_state(ssl.get());
  // RFC 6066 3: no addresses in SNI.
  if (!server_name.empty() && !is_address(server_name)) {
    require(SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                     const_cast<char*>(server_name.c_str())) == 1,
            "to name the server");
  }
  return ssl;
}

std::string describe_handshake_error() {
  const unsigned long code = ERR_peek_error();
  const int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
  const std::string words = take_openssl_reason();
  if (reason == SSL_R_WRONG_VERSION_NUMBER) return "the server does not speak TLS";
  if (reason > SSL_AD_REASON_OFFSET) {
    return std::string("the server refused the handshake (") +
           SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET) + ")";
  }
  return "the handshake failed (" + words + ")";
}

void shake_hands(SSL* ssl, Wire& wire) {
  for (;;) {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl);
    if (result != 1 && SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ) {
      HandshakeFailed failed{describe_handshake_error()};
      wire.send_what_fits();
      throw failed;
    }
    wire.send_all();
    if (result == 1) return;
    wire.receive();
  }
}

/// Called when the server asks for a certificate; `asked` is a bool.
int note_request(SSL*, void* asked) {
  *static_cast<bool*>(asked) = true;
  return 1;
}

/// Called with each message; `accepted` is a bool.
void note_ticket(int sent, int, int content_type, const void* message, std::size_t size, SSL*, void* accepted) {
  if (sent == 0 && content_type == SSL3_RT_HANDSHAKE && size > 0 &&
      *static_cast<const unsigned char*>(message) == SSL3_MT_NEWSESSION_TICKET)
    *static_cast<bool*>(accepted) = true;
}

/// Until the server has said something behind the handshake: a refusal, or what nobody gets who is refused.
void await_verdict(SSL* ssl, Wire& wire, const bool& has_ticket) {
  while (!has_ticket) {
    ERR_clear_error();
    char octet = 0;
    const int count = SSL_read(ssl, &octet, 1);
    if (count > 0 || has_ticket) return;
    if (SSL_get_error(ssl, count) != SSL_ERROR_WANT_READ) throw HandshakeFailed{describe_handshake_error()};
    wire.receive();
  }
}

std::optional<CertificateChain> sent_chain(const SSL* ssl) {
  const STACK_OF(X509)* sent = SSL_get_peer_cert_chain(ssl);
  if (sent == nullptr || sk_X509_num(sent) == 0) return std::nullopt;
  std::vector<Certificate> certificates;
  for (int i = 0; i < sk_X509_num(sent); ++i) {
    unsigned char* der = nullptr;
    const int size = i2d_X509(sk_X509_value(sent, i), &der);
    const std::unique_ptr<unsigned char, FreeByOpenssl> owned(der);
    require(size > 0, "to read a certificate");
    certificates.push_back(Certificate::from_der({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)}));
  }
  return CertificateChain(std::move(certificates));
}

}  // namespace

TlsPeer look_at_tls_server(int fd, const std::string& server_name, TlsClient client, Duration timeout,
                           const std::stop_token& stop) {
  const Ssl ssl = make_ssl(server_name, client);
  Wire wire(fd, ssl.get(), timeout, stop);
  TlsPeer peer;
  SSL_set_cert_cb(ssl.get(), note_request, &peer.asks_for_certificate);
  try {
    shake_hands(ssl.get(), wire);
    peer.completed = true;
    SSL_shutdown(ssl.get());
    wire.send_what_fits();
  } catch (const HandshakeFailed& failed) {
    peer.failure = failed.reason;
    peer.timed_out = failed.timed_out;
  }
  try {
    peer.chain = sent_chain(ssl.get());
  } catch (const Error& error) {
    peer.completed = false;
    peer.failure = "the server shows what is no certificate: " + error.message();
  }
  take_openssl_reason();
  return peer;
}

std::optional<std::string> why_client_is_refused(int fd, const std::string& server_name, const CertifiedKey& client,
                                                 Duration timeout, const std::stop_token& stop) {
  const Ssl ssl = make_ssl(server_name, TlsClient::standard);
  require(SSL_use_certificate(ssl.get(), client.chain.leaf().handle()) == 1 &&
              SSL_use_PrivateKey(ssl.get(), client.key.handle()) == 1,
          "to show a client's certificate");
  Wire wire(fd, ssl.get(), timeout, stop);
  bool has_ticket = false;
  SSL_set_msg_callback(ssl.get(), note_ticket);
  SSL_set_msg_callback_arg(ssl.get(), &has_ticket);
  std::optional<std::string> refusal;
  bool over = false;
  try {
    shake_hands(ssl.get(), wire);
    over = true;
    if (SSL_version(ssl.get()) == TLS1_3_VERSION) await_verdict(ssl.get(), wire, has_ticket);
    SSL_shutdown(ssl.get());
    wire.send_what_fits();
  } catch (const HandshakeFailed& failed) {
    take_openssl_reason();
    if (failed.timed_out && !over) throw Error(Remedy::retry, "a device's handshake took too long: " + failed.reason);
    if (!failed.timed_out) refusal = failed.reason;
  }
  take_openssl_reason();
  return refusal;
}

bool opens_websocket(int fd, const std::string& server_name, Duration timeout, const std::stop_token& stop) {
  const Ssl ssl = make_ssl(server_name, TlsClient::standard);
  Wire wire(fd, ssl.get(), timeout, stop);
  constexpr std::string_view opened = "HTTP/1.1 101";
  std::string answer(opened.size(), '\0');
  std::size_t size = 0;
  try {
    shake_hands(ssl.get(), wire);
    const std::string request = "GET /mqtt HTTP/1.1\r\nHost: " + (server_name.empty() ? "localhost" : server_name) +
                                "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Key: YWNtZS1hZ2VudC1sb29rcw==\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    require(SSL_write(ssl.get(), request.data(), static_cast<int>(request.size())) > 0, "to ask for a WebSocket");
    wire.send_all();
    while (size < answer.size()) {
      const int count = SSL_read(ssl.get(), answer.data() + size, static_cast<int>(answer.size() - size));
      if (count > 0)
        size += static_cast<std::size_t>(count);
      else if (SSL_get_error(ssl.get(), count) == SSL_ERROR_WANT_READ)
        wire.receive();
      else
        break;
    }
    SSL_shutdown(ssl.get());
    wire.send_what_fits();
  } catch (const HandshakeFailed&) {  // whoever answers so opens none
  }
  take_openssl_reason();
  return answer == opened;
}

}  // namespace acme_agent
