#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <future>
#include <memory>
#include <thread>

#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/tls_peer.hpp>

#include "support/test_ca.hpp"

using namespace acme_agent;
using acme_agent::test::TestCa;
using namespace std::chrono;
using namespace std::chrono_literals;

namespace {

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) { REQUIRE(fd_ >= 0); }
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int fd() const { return fd_; }

 private:
  const int fd_;
};

/// Serves one connection after the other with `serve`, each on the one thread of its own.
class Server {
 public:
  explicit Server(std::function<void(int)> serve)
      : listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), serve_(std::move(serve)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(listening_.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(listening_.fd(), 8) == 0);
    thread_ = std::jthread([this] {
      // The signal must stay deadly for the client's thread: the room promises not to raise it.
      sigset_t pipe;
      sigemptyset(&pipe);
      sigaddset(&pipe, SIGPIPE);
      pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
      for (int fd = accept(); fd >= 0; fd = accept()) {
        serve_(fd);
        ::close(fd);
      }
    });
  }
  ~Server() { ::shutdown(listening_.fd(), SHUT_RDWR); }

  /// A connected, non-blocking socket.
  std::unique_ptr<Socket> connect() const {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    REQUIRE(::getsockname(listening_.fd(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    auto socket = std::make_unique<Socket>(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(socket->fd(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::fcntl(socket->fd(), F_SETFL, O_NONBLOCK) == 0);
    return socket;
  }

  TlsPeer look(TlsClient client = TlsClient::standard, const std::string& name = "a.example",
               Duration timeout = 20s) const {
    const auto socket = connect();
    return look_at_tls_server(socket->fd(), name, client, timeout, {});
  }

 private:
  int accept() const { return ::accept4(listening_.fd(), nullptr, nullptr, SOCK_CLOEXEC); }

  const Socket listening_;
  const std::function<void(int)> serve_;
  std::jthread thread_;
};

/// What a TLS server saw of one client.
struct Seen {
  std::string server_name;
  bool reused = false;
  bool close_notify = false;
  std::string said = {};
};

struct TlsOptions {
  int min_version = TLS1_2_VERSION;
  int max_version = TLS1_3_VERSION;
  bool demand_client_certificate = false;
  std::string answer = {};                   ///< To what ends with an empty line.
  std::optional<Certificate> admitted = {};  ///< The one client that is let in; nothing: whoever comes.
  bool tickets = true;
};

/// A server as a broker sets it up with OpenSSL, with one pair or with one of each kind.
class TlsServer {
 public:
  explicit TlsServer(const std::vector<CertifiedKey>& pairs, TlsOptions options = {})
      : context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free),
        answer_(options.answer),
        admitted_(options.admitted),
        server_([this](int fd) { serve(fd); }) {
    SSL_CTX_set_security_level(context_.get(), 0);
    SSL_CTX_set_min_proto_version(context_.get(), options.min_version);
    SSL_CTX_set_max_proto_version(context_.get(), options.max_version);
    if (options.demand_client_certificate) {
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    if (admitted_) {
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
      SSL_CTX_set_cert_verify_callback(context_.get(), admit, const_cast<Certificate*>(&*admitted_));
    }
    if (!options.tickets) SSL_CTX_set_num_tickets(context_.get(), 0);
    for (const CertifiedKey& pair : pairs) {
      use(pair.chain.leaf().handle(), pair.key.handle());
      SSL_CTX_clear_chain_certs(context_.get());
      for (std::size_t i = 1; i < pair.chain.certificates().size(); ++i) {
        REQUIRE(SSL_CTX_add1_chain_cert(context_.get(), pair.chain.certificates()[i].handle()) == 1);
      }
    }
  }

  void use(X509* certificate, EVP_PKEY* key) {
    REQUIRE(SSL_CTX_use_certificate(context_.get(), certificate) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey(context_.get(), key) == 1);
  }

  const Server* operator->() const { return &server_; }
  /// Of the client served last; waits until it has gone.
  Seen seen() { return seen_.get_future().get(); }

 private:
  static int admit(X509_STORE_CTX* shown, void* admitted) {
    const bool same = X509_cmp(X509_STORE_CTX_get0_cert(shown), static_cast<Certificate*>(admitted)->handle()) == 0;
    if (!same) X509_STORE_CTX_set_error(shown, X509_V_ERR_CERT_REVOKED);
    return same ? 1 : 0;
  }

  void serve(int fd) {
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context_.get()), SSL_free);
    SSL_set_fd(ssl.get(), fd);
    Seen seen;
    if (SSL_accept(ssl.get()) == 1) {
      if (const char* name = SSL_get_servername(ssl.get(), TLSEXT_NAMETYPE_host_name)) seen.server_name = name;
      seen.reused = SSL_session_reused(ssl.get()) == 1;
      char octet = 0;
      while (SSL_read(ssl.get(), &octet, 1) > 0) {
        seen.said += octet;
        if (!answer_.empty() && seen.said.ends_with("\r\n\r\n"))
          SSL_write(ssl.get(), answer_.data(), static_cast<int>(answer_.size()));
      }
      seen.close_notify = (SSL_get_shutdown(ssl.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
    }
    ERR_clear_error();
    if (!told_) seen_.set_value(seen);
    told_ = true;
  }

  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  const std::string answer_;
  const std::optional<Certificate> admitted_;
  std::promise<Seen> seen_;
  bool told_ = false;
  const Server server_;
};

struct Pairs {
  TestCa ca;
  Validity validity{floor<seconds>(time_point_cast<Duration>(system_clock::now())) - 1h,
                    floor<seconds>(time_point_cast<Duration>(system_clock::now())) + 90 * 24h};
  CertifiedKey rsa = make(KeyType::rsa2048);
  CertifiedKey ec = make(KeyType::ec256);

  CertifiedKey make(KeyType type) const {
    PrivateKey key = PrivateKey::generate(type);
    CertificateChain chain = ca.issue(key, {{Identifier::Type::dns, "a.example"}}, validity);
    return {std::move(key), std::move(chain)};
  }
};

void read_hello(int fd) {
  char octets[4096];
  CHECK(::recv(fd, octets, sizeof octets, 0) > 0);
}

void wait_for_hang_up(int fd) {
  char octets[4096];
  while (::recv(fd, octets, sizeof octets, 0) > 0) {
  }
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

TEST_CASE("the whole chain is seen as it is sent") {
  const Pairs pairs;
  for (const CertifiedKey& pair :
       {pairs.rsa, pairs.ec, CertifiedKey{pairs.rsa.key, CertificateChain({pairs.rsa.chain.leaf()})}}) {
    const TlsServer server({pair});
    const TlsPeer peer = server->look();
    CHECK(peer.completed);
    CHECK(peer.failure == "");
    CHECK(peer.chain == pair.chain);
    CHECK(ERR_peek_error() == 0);
  }
}

TEST_CASE("a WebSocket is opened where the server opens it, too, and nowhere else") {
  const Pairs pairs;
  const auto opens = [&](const std::string& answer, Seen* seen = nullptr) {
    TlsServer server({pairs.rsa}, {.answer = answer});
    const bool result = opens_websocket(server->connect()->fd(), "a.example", 500ms, {});
    const Seen there = server.seen();
    if (seen != nullptr) *seen = there;
    return result;
  };
  Seen seen;
  CHECK(opens("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", &seen));
  CHECK(seen.said.starts_with("GET /mqtt HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n"));
  CHECK(contains(seen.said, "\r\nSec-WebSocket-Protocol: mqtt\r\n"));
  CHECK(seen.close_notify);
  CHECK_FALSE(opens("HTTP/1.1 404 Not Found\r\n\r\n"));
  CHECK_FALSE(opens("HTTP/1.1 10"));  // and then nothing
  CHECK_FALSE(opens(""));

  const Server no_tls([](int fd) { wait_for_hang_up(fd); });
  CHECK_FALSE(opens_websocket(no_tls.connect()->fd(), "", 100ms, {}));
}

TEST_CASE("of a server with two pairs each kind of client sees its own") {
  const Pairs pairs;
  const TlsServer server({pairs.rsa, pairs.ec});
  CHECK(server->look(TlsClient::standard).chain == pairs.ec.chain);
  CHECK(server->look(TlsClient::rsa_tls12).chain == pairs.rsa.chain);
}

TEST_CASE("an RSA server is seen by both kinds of client") {
  const Pairs pairs;
  const TlsServer server({pairs.rsa});
  CHECK(server->look(TlsClient::standard).completed);
  const TlsPeer peer = server->look(TlsClient::rsa_tls12);
  CHECK(peer.completed);
  CHECK(peer.chain == pairs.rsa.chain);
}

TEST_CASE("a server with an EC pair alone refuses the RSA client and shows nothing") {
  const TlsServer server({Pairs().ec});
  const TlsPeer peer = server->look(TlsClient::rsa_tls12);
  CHECK_FALSE(peer.completed);
  CHECK_FALSE(peer.chain.has_value());
  CHECK_FALSE(peer.timed_out);
  CHECK(peer.failure == "the server refused the handshake (handshake failure)");
}

TEST_CASE("a server of TLS 1.2 alone is seen by both, one of TLS 1.3 alone by the standard client") {
  const Pairs pairs;
  const TlsServer old({pairs.rsa}, {.max_version = TLS1_2_VERSION});
  CHECK(old->look(TlsClient::standard).completed);
  CHECK(old->look(TlsClient::rsa_tls12).completed);
  const TlsServer modern({pairs.rsa}, {.min_version = TLS1_3_VERSION});
  CHECK(modern->look(TlsClient::standard).completed);
  const TlsPeer peer = modern->look(TlsClient::rsa_tls12);
  CHECK_FALSE(peer.completed);
  CHECK(peer.failure == "the server refused the handshake (protocol version)");
}

TEST_CASE("a client like Tasmota gets through to a server with an RSA pair and TLS 1.2, and to no other") {
  const Pairs pairs;
  const TlsServer both({pairs.rsa, pairs.ec});
  const TlsPeer peer = both->look(TlsClient::tasmota);
  CHECK(peer.completed);
  CHECK(peer.chain == pairs.rsa.chain);
  CHECK_FALSE(TlsServer({pairs.ec})->look(TlsClient::tasmota).completed);
  CHECK_FALSE(TlsServer({pairs.rsa}, {.min_version = TLS1_3_VERSION})->look(TlsClient::tasmota).completed);
}

TEST_CASE("a server that wants a client certificate is seen all the same") {
  const Pairs pairs;
  const TlsServer modern({pairs.rsa}, {.min_version = TLS1_3_VERSION, .demand_client_certificate = true});
  CHECK(modern->look().chain == pairs.rsa.chain);
  CHECK(modern->look().completed);  // in TLS 1.3 the refusal comes later

  const TlsServer old({pairs.rsa}, {.max_version = TLS1_2_VERSION, .demand_client_certificate = true});
  for (const TlsClient client : {TlsClient::standard, TlsClient::rsa_tls12}) {
    const TlsPeer peer = old->look(client);
    CHECK(peer.chain == pairs.rsa.chain);
    CHECK_FALSE(peer.completed);
    CHECK(contains(peer.failure, "the server refused the handshake ("));
  }
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("a client's certificate is let in or refused, also where that is said after the handshake") {
  const Pairs pairs;
  const CertifiedKey device = pairs.make(KeyType::ec256);
  const CertifiedKey revoked = pairs.make(KeyType::ec256);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const TlsServer server({pairs.rsa},
                           {.min_version = version, .max_version = version, .admitted = device.chain.leaf()});
    CHECK(server->look().asks_for_certificate);
    const auto refusal = [&](const CertifiedKey& client, Duration timeout = 20s) {
      return why_client_is_refused(server->connect()->fd(), "a.example", client, timeout, {});
    };
    CHECK_FALSE(refusal(device));
    CHECK(refusal(revoked) == "the server refused the handshake (certificate revoked)");
    CHECK(ERR_peek_error() == 0);
  }
  CHECK_FALSE(TlsServer({pairs.rsa})->look().asks_for_certificate);
}

TEST_CASE("a server of TLS 1.3 that gives no tickets lets a client in by saying nothing") {
  const Pairs pairs;
  const CertifiedKey device = pairs.make(KeyType::ec256);
  const TlsServer server({pairs.rsa},
                         {.min_version = TLS1_3_VERSION, .admitted = device.chain.leaf(), .tickets = false});
  CHECK_FALSE(why_client_is_refused(server->connect()->fd(), "a.example", device, 300ms, {}));
  CHECK(why_client_is_refused(server->connect()->fd(), "a.example", pairs.ec, 20s, {}));
}

TEST_CASE("certificates that no client would trust are seen, expired ones and placeholders") {
  Pairs pairs;
  pairs.validity = {pairs.validity.not_before - 365 * 24h, pairs.validity.not_before};
  const CertifiedKey expired = pairs.make(KeyType::rsa2048);
  CHECK(TlsServer({expired})->look().chain == expired.chain);

  const PrivateKey key = PrivateKey::generate(KeyType::rsa2048);
  const Certificate placeholder =
      make_placeholder(key, {{Identifier::Type::dns, "a.example"}}, pairs.validity.not_after, 24h);
  const TlsPeer peer = TlsServer({{key, CertificateChain({placeholder})}})->look();
  REQUIRE(peer.chain.has_value());
  CHECK(peer.chain->leaf().placeholder());
  CHECK(peer.completed);
}

TEST_CASE("a key that no KeyType stands for does not keep its certificate from being seen") {
  const std::shared_ptr<EVP_PKEY> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{1024}), EVP_PKEY_free);
  const std::shared_ptr<X509> certificate(X509_new(), X509_free);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  REQUIRE(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsServer server({}, {.min_version = version, .max_version = version});
    server.use(certificate.get(), key.get());
    const TlsPeer peer = server->look();
    CHECK(peer.completed);
    REQUIRE(peer.chain.has_value());
    CHECK(peer.chain->leaf().key_type() == std::nullopt);
  }
}

TEST_CASE("a name is sent as SNI, an address is not") {
  const Pairs pairs;
  const std::pair<std::string, std::string> table[] = {
      {"mqtt.mydyn.example", "mqtt.mydyn.example"}, {"127.0.0.1", ""}, {"::1", ""}, {"", ""}};
  for (const auto& row : table) {
    CAPTURE(row.first);
    TlsServer server({pairs.ec});
    CHECK(server->look(TlsClient::standard, row.first).completed);
    CHECK(server.seen().server_name == row.second);
  }
}

TEST_CASE("no session is resumed") {
  const Pairs pairs;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsServer first({pairs.ec}, {.min_version = version, .max_version = version});
    for (int i = 0; i < 3; ++i)
      CHECK(first->look().chain == pairs.ec.chain);  // a resumed TLS 1.2 session shows no chain
    CHECK_FALSE(first.seen().reused);
  }
}

TEST_CASE("the server is told good-bye") {
  const Pairs pairs;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsServer server({pairs.ec}, {.min_version = version, .max_version = version});
    CHECK(server->look().completed);
    CHECK(server.seen().close_notify);
  }
}

TEST_CASE("a server that speaks something else is no exception but a failure") {
  const std::string greetings[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
                                   "220 mail.example ESMTP\r\n", std::string("\x20\x02\x00\x01", 4) + "MQTT....."};
  for (const std::string& greeting : greetings) {
    CAPTURE(greeting);
    const Server server([&](int fd) {
      read_hello(fd);
      ::send(fd, greeting.data(), greeting.size(), 0);
      wait_for_hang_up(fd);
    });
    const TlsPeer peer = server.look();
    CHECK_FALSE(peer.completed);
    CHECK_FALSE(peer.chain.has_value());
    CHECK(peer.failure == "the server does not speak TLS");
  }
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("an echo of our own words is not taken for a handshake") {
  const Server server([](int fd) {
    char octets[4096];
    for (ssize_t size = 1; size > 0;) {
      size = ::recv(fd, octets, sizeof octets, 0);
      if (size > 0) ::send(fd, octets, static_cast<std::size_t>(size), 0);
    }
  });
  const TlsPeer peer = server.look();
  CHECK_FALSE(peer.completed);
  CHECK(contains(peer.failure, "the handshake failed ("));
}

TEST_CASE("whatever nonsense a server sends ends in a failure") {
  std::uint32_t state = 1;
  const auto next = [&state] { return static_cast<char>((state = state * 1664525 + 1013904223) >> 24); };
  for (int round = 0; round < 200; ++round) {
    std::string nonsense = round % 2 == 0 ? std::string("\x16\x03\x03\x00\x40\x02\x00\x00\x3c\x03\x03", 11) : "";
    for (int i = 0; i < 200; ++i) nonsense += next();
    const Server server([&](int fd) {
      read_hello(fd);
      ::send(fd, nonsense.data(), nonsense.size(), 0);
      ::shutdown(fd, SHUT_WR);
      wait_for_hang_up(fd);
    });
    const TlsPeer peer = server.look();
    REQUIRE_FALSE(peer.completed);
    REQUIRE_FALSE(peer.failure.empty());
    REQUIRE(ERR_peek_error() == 0);
  }
}

TEST_CASE("a server that hangs up, politely or not, is a failure and no signal") {
  const Server polite([](int fd) { read_hello(fd); });
  CHECK(polite.look().failure == "the server closed the connection during the handshake");

  const Server rude([](int fd) {
    read_hello(fd);
    const linger at_once{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  });
  CHECK(contains(rude.look().failure, "the connection broke during the handshake: "));

  std::promise<void> gone;
  const Server absent([&](int fd) {
    const linger at_once{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ::shutdown(fd, SHUT_RDWR);
    gone.set_value();
  });
  const auto socket = absent.connect();
  gone.get_future().wait();
  pollfd reset{socket->fd(), POLLIN, 0};
  ::poll(&reset, 1, 5000);
  const TlsPeer peer = look_at_tls_server(socket->fd(), "", TlsClient::standard, 5s, {});
  CHECK_FALSE(peer.completed);
  CHECK_FALSE(peer.failure.empty());
}

TEST_CASE("a silent server costs the time-out and not more") {
  const Server server(wait_for_hang_up);
  const auto start = steady_clock::now();
  const TlsPeer peer = server.look(TlsClient::standard, "", 300ms);
  CHECK(steady_clock::now() - start >= 300ms);
  CHECK(steady_clock::now() - start < 2s);
  CHECK_FALSE(peer.completed);
  CHECK(peer.timed_out);
  CHECK(contains(peer.failure, "the server said nothing for "));
}

TEST_CASE("a server that drips octets does not get more time") {
  const Server server([](int fd) {
    read_hello(fd);
    const std::string start("\x16\x03\x03\x40\x00", 5);
    ::send(fd, start.data(), start.size(), 0);
    pollfd hang_up{fd, POLLIN, 0};
    while (::poll(&hang_up, 1, 10) == 0) {
      if (::send(fd, "x", 1, 0) != 1) return;
    }
  });
  const auto start = steady_clock::now();
  const TlsPeer peer = server.look(TlsClient::standard, "", 300ms);
  CHECK(steady_clock::now() - start >= 300ms);
  CHECK(steady_clock::now() - start < 2s);
  CHECK(peer.timed_out);
  CHECK(contains(peer.failure, "the handshake was not finished within "));
}

TEST_CASE("a stop during the silence is answered within 100 ms") {
  std::promise<void> asked;
  const Server server([&](int fd) {
    read_hello(fd);
    asked.set_value();
    wait_for_hang_up(fd);
  });
  const auto socket = server.connect();
  std::stop_source stop;
  auto stopped = std::async(std::launch::async, [&] {
    CHECK_THROWS_AS(look_at_tls_server(socket->fd(), "", TlsClient::standard, 60s, stop.get_token()), Stopped);
    return steady_clock::now();
  });
  asked.get_future().wait();
  const auto requested = steady_clock::now();
  stop.request_stop();
  CHECK(stopped.get() - requested < 100ms);
}

TEST_CASE("after a stop no look is begun") {
  const Server server(wait_for_hang_up);
  const auto socket = server.connect();
  std::stop_source stop;
  stop.request_stop();
  CHECK_THROWS_AS(look_at_tls_server(socket->fd(), "", TlsClient::standard, 60s, stop.get_token()), Stopped);
}

TEST_CASE("many looks at a time do not disturb each other") {
  const Pairs pairs;
  const TlsServer rsa({pairs.rsa});
  const TlsServer ec({pairs.ec});
  std::vector<std::future<bool>> looks;
  for (int i = 0; i < 8; ++i) {
    const bool even = i % 2 == 0;
    looks.push_back(std::async(std::launch::async, [&, even] {
      const auto& pair = even ? pairs.rsa : pairs.ec;
      return (even ? rsa : ec)->look().chain == pair.chain;
    }));
  }
  for (auto& look : looks) CHECK(look.get());
}
