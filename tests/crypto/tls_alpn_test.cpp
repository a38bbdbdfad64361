#include <doctest/doctest.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/free.hpp>
#include <acme_agent/crypto/digest.hpp>
#include <acme_agent/crypto/tls_alpn.hpp>

using namespace acme_agent;
using namespace std::chrono_literals;

namespace {

const Identifier name{Identifier::Type::dns, "mydyn.example"};
const TimePoint now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22};

/// A client in memory, as a server that validates is one.
class Client {
 public:
  explicit Client(const std::string& server_name, const std::string& protocols =
                                                      "\x0a"
                                                      "acme-tls/1") {
    BIO* in = BIO_new(BIO_s_mem());
    BIO* out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in, out);
    SSL_set_connect_state(ssl_.get());
    if (!server_name.empty()) {
      SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
               const_cast<char*>(server_name.c_str()));
    }
    if (!protocols.empty())
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(protocols.data()),
                          static_cast<unsigned>(protocols.size()));
  }

  SSL* ssl() { return ssl_.get(); }

  std::string hear(std::string_view octets) {
    BIO_write(SSL_get_rbio(ssl_.get()), octets.data(), static_cast<int>(octets.size()));
    if (!finished_) finished_ = SSL_do_handshake(ssl_.get()) == 1;
    char* said = nullptr;
    BIO* out = SSL_get_wbio(ssl_.get());
    const long size = BIO_get_mem_data(out, &said);
    std::string answer(said, static_cast<std::size_t>(size));
    BIO_reset(out);
    return answer;
  }

  bool finished() const { return finished_; }
  std::string protocol() {
    const unsigned char* selected = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &selected, &size);
    return {reinterpret_cast<const char*>(selected), size};
  }
  std::optional<Certificate> certificate() {
    const std::unique_ptr<X509, Free<X509_free>> shown(SSL_get1_peer_certificate(ssl_.get()));
    if (!shown) return std::nullopt;
    unsigned char* der = nullptr;
    const int size = i2d_X509(shown.get(), &der);
    const std::string text(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
    OPENSSL_free(der);
    return Certificate::from_der(text);
  }

 private:
  std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>> context_{SSL_CTX_new(TLS_client_method())};
  std::unique_ptr<SSL, Free<SSL_free>> ssl_{SSL_new(context_.get())};
  bool finished_ = false;
};

struct Shaking {
  CertifiedKey pair = make_tls_alpn_certificate(name, "token.thumbprint", now);
  int looked_up = 0;
  TlsAlpnHandshake server{[this](const std::string& asked) {
    ++looked_up;
    return asked == name.value ? std::optional(pair) : std::nullopt;
  }};

  /// To its end; at most `piece` octets at a time.
  void shake_hands(Client& client, std::size_t piece = 100000) {
    std::string to_server = client.hear("");
    for (int i = 0; i < 10 && !server.over(); ++i) {
      std::string to_client;
      for (std::size_t at = 0; at < to_server.size(); at += piece)
        to_client += server.hear(to_server.substr(at, piece));
      to_server = client.hear(to_client);
    }
  }
};

std::string extension(const Certificate& certificate, const char* kind, bool& critical) {
  const std::unique_ptr<ASN1_OBJECT, Free<ASN1_OBJECT_free>> wanted(OBJ_txt2obj(kind, 1));
  const int place = X509_get_ext_by_OBJ(certificate.handle(), wanted.get(), -1);
  REQUIRE(place >= 0);
  X509_EXTENSION* found = X509_get_ext(certificate.handle(), place);
  critical = X509_EXTENSION_get_critical(found) == 1;
  const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(found);
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
          static_cast<std::size_t>(ASN1_STRING_length(value))};
}

}  // namespace

TEST_CASE("the certificate is self-signed, for one name alone, and carries the digest in a critical extension") {
  const CertifiedKey pair = make_tls_alpn_certificate(name, "token.thumbprint", now);
  const Certificate& leaf = pair.chain.leaf();
  CHECK(leaf.identifiers() == std::vector<Identifier>{name});
  CHECK(leaf.self_signed());
  CHECK(leaf.signed_by(leaf));
  CHECK(leaf.has_public_key_of(pair.key));
  CHECK(leaf.validity().contains(now));
  CHECK_FALSE(leaf.placeholder());
  bool critical = false;
  CHECK(extension(leaf, "1.3.6.1.5.5.7.1.31", critical) == "\x04\x20" + sha256("token.thumbprint"));
  CHECK(critical);
}

TEST_CASE("an address is in the certificate as an address, and asked for by its reverse name") {
  const Identifier v4{Identifier::Type::ip, "192.0.2.7"};
  const Identifier v6{Identifier::Type::ip, "2001:db8::1"};
  CHECK(make_tls_alpn_certificate(v6, "x", now).chain.leaf().identifiers() == std::vector<Identifier>{v6});
  CHECK(tls_alpn_server_name(v4) == "7.2.0.192.in-addr.arpa");
  CHECK(tls_alpn_server_name(v6) == "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
  CHECK(tls_alpn_server_name(name) == "mydyn.example");
  CHECK_THROWS_AS(tls_alpn_server_name({Identifier::Type::ip, "no address"}), Error);
}

TEST_CASE("a client that asks for the name and speaks acme-tls/1 gets the certificate") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{100000}}) {
      Shaking t;
      Client client("mydyn.example");
      SSL_set_max_proto_version(client.ssl(), version);
      t.shake_hands(client, piece);
      CHECK(client.finished());
      CHECK(client.protocol() == "acme-tls/1");
      CHECK(client.certificate() == t.pair.chain.leaf());
      CHECK(t.server.over());
      CHECK(t.server.shown() == "mydyn.example");
    }
  }
}

TEST_CASE("case and a final dot of the asked name do not matter") {
  Shaking t;
  Client client("MyDyn.Example.");
  t.shake_hands(client);
  CHECK(client.finished());
  CHECK(t.server.shown() == "mydyn.example");
}

TEST_CASE("a client that speaks anything else, or nothing, is refused before a certificate is looked up") {
  using namespace std::string_literals;
  for (const std::string& protocols : {""s, "\x02h2"s,
                                       "\x0a"
                                       "acme-tls/2"s,
                                       "\x0a"
                                       "acme-tls/1\x02h2"s,
                                       "\x02h2\x0a"
                                       "acme-tls/1"s}) {
    CAPTURE(protocols);
    Shaking t;
    Client client("mydyn.example", protocols);
    t.shake_hands(client);
    CHECK_FALSE(client.finished());
    CHECK_FALSE(client.certificate());
    CHECK(t.server.over());
    CHECK(t.server.shown().empty());
    CHECK(t.looked_up == 0);
  }
}

TEST_CASE("a client that asks for another name, or for none, is refused") {
  for (const std::string asked : {"", "other.example", "a.mydyn.example", "mydyn.example.org"}) {
    CAPTURE(asked);
    Shaking t;
    Client client(asked);
    t.shake_hands(client);
    CHECK_FALSE(client.finished());
    CHECK_FALSE(client.certificate());
    CHECK(t.server.over());
    CHECK(t.server.shown().empty());
  }
}

TEST_CASE("a version before TLS 1.2 is refused") {
  Shaking t;
  Client client("mydyn.example");
  SSL_set_security_level(client.ssl(), 0);
  SSL_set_min_proto_version(client.ssl(), TLS1_VERSION);
  SSL_set_max_proto_version(client.ssl(), TLS1_1_VERSION);
  t.shake_hands(client);
  CHECK_FALSE(client.finished());
}

TEST_CASE("what is no TLS ends the handshake, and nothing is said afterwards") {
  for (const std::string text :
       {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", "\x80\x80"}) {
    Shaking t;
    std::string said = t.server.hear(text);
    for (int i = 0; i < 40 && !t.server.over(); ++i) said += t.server.hear(std::string(1000, 'x'));
    CHECK(t.server.over());
    CHECK(said.size() < 20);  // an alert at most
    CHECK(t.server.hear("more").empty());
    CHECK(t.server.shown().empty());
  }
}
