#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <vector>

#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/tls_alpn.hpp>
#include <acme_agent/net/alpn_listener.hpp>

#include "support/alpn_client.hpp"
#include "support/quiet_log.hpp"

using namespace acme_agent;
using namespace acme_agent::test;
using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

namespace {

struct Listening {
  explicit Listening(Endpoint address = {"127.0.0.1", 0})
      : listener(
            std::move(address), [](std::uint16_t) { return std::string("nginx (pid 812)"); }, log) {}

  SystemClock clock;
  QuietLog log{clock};
  CertifiedKey pair = make_tls_alpn_certificate({Identifier::Type::dns, "mydyn.example"}, "x", clock.now());
  AlpnListener listener;
};

}  // namespace

TEST_CASE("a validating client gets the certificate of the pending name, which is a visit") {
  Listening t;
  const auto answer = t.listener.publish("mydyn.example", t.pair);
  CHECK(fetch_alpn_certificate(t.listener.port(), "mydyn.example") == t.pair.chain.leaf().der());
  CHECK(answer->wait_for_visit(0, 5s, {}));
  CHECK(answer->visits() == 1);
}

TEST_CASE("each name has its own certificate and its own visits") {
  Listening t;
  const auto one = t.listener.publish("mydyn.example", t.pair);
  const CertifiedKey other_pair =
      make_tls_alpn_certificate({Identifier::Type::dns, "other.example"}, "y", t.clock.now());
  const auto other = t.listener.publish("other.example", other_pair);
  CHECK(fetch_alpn_certificate(t.listener.port(), "other.example") == other_pair.chain.leaf().der());
  CHECK(other->wait_for_visit(0, 5s, {}));
  CHECK(one->visits() == 0);
}

TEST_CASE("a client that is no validating one gets no certificate, and is no visit") {
  Listening t;
  const auto answer = t.listener.publish("mydyn.example", t.pair);
  CHECK(fetch_alpn_certificate(t.listener.port(), "mydyn.example", "") == "");
  CHECK(fetch_alpn_certificate(t.listener.port(), "stranger.example") == "");
  CHECK(answer->visits() == 0);
}

TEST_CASE("the port is let go of with the last name") {
  Listening t;
  auto one = t.listener.publish("mydyn.example", t.pair);
  const std::uint16_t port = t.listener.port();
  CHECK(port != 0);
  one.reset();
  CHECK(t.listener.port() == 0);
  CHECK_FALSE(Connected(port).is_open());
}

TEST_CASE("a name that is pending already is refused, as only one certificate can be shown for it") {
  Listening t;
  const auto one = t.listener.publish("mydyn.example", t.pair);
  CHECK_THROWS_AS(t.listener.publish("mydyn.example", t.pair), Error);
  CHECK(fetch_alpn_certificate(t.listener.port(), "mydyn.example") == t.pair.chain.leaf().der());
}

TEST_CASE("a port for TLS that another program listens on is an error that names it, its holder and the option") {
  Listening t;
  const auto one = t.listener.publish("mydyn.example", t.pair);
  Listening second({"127.0.0.1", t.listener.port()});
  std::string complaint;
  try {
    second.listener.publish("mydyn.example", t.pair);
  } catch (const Error& error) {
    complaint = error.message();
    CHECK(error.remedy() == Remedy::retry);
  }
  CHECK(complaint == "cannot listen on 127.0.0.1:" + std::to_string(t.listener.port()) +
                         " for the TLS-ALPN-01 challenge: it is taken by nginx (pid 812); stop that, or give a free "
                         "port with --alpn-listen and let it hand on connections with ALPN \"acme-tls/1\" there");
}

TEST_CASE("silent and talkative strangers on the port for TLS keep no validating client waiting") {
  Listening t;
  const auto answer = t.listener.publish("mydyn.example", t.pair);
  std::vector<std::unique_ptr<Connected>> strangers;
  for (int i = 0; i < 400; ++i) {
    strangers.push_back(std::make_unique<Connected>(t.listener.port()));
    if (i % 4 == 1) strangers.back()->send("\x16\x03\x01");
    if (i % 4 == 2) strangers.back()->send("GET / HTTP/1.1\r\n\r\n");
    if (i % 4 == 3) strangers.back()->send(std::string(20000, 'x'));
  }
  const auto before = Steady::now();
  CHECK(fetch_alpn_certificate(t.listener.port(), "mydyn.example") == t.pair.chain.leaf().der());
  CHECK(Steady::now() - before < 2s);
}
