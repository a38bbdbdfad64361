#include <doctest/doctest.h>

#include <chrono>

#include <acme_agent/base/error.hpp>
#include <acme_agent/broker/probe.hpp>
#include <acme_agent/sys/file.hpp>

#include "broker/fake_broker.hpp"
#include "broker/keys.hpp"
#include "support/temp_dir.hpp"
#include "support/test_ca.hpp"

namespace acme_agent::test {
namespace {

using namespace std::chrono_literals;

const Validity in_2026{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1},
                       std::chrono::sys_days{std::chrono::year{2026} / 4 / 1}};
const std::vector<Identifier> names{{Identifier::Type::dns, "mqtt.example"}};

const TestCa& ca() {
  static const TestCa authority;
  return authority;
}

CertificateChain leaf_only(const CertificateChain& chain) {
  return CertificateChain({chain.leaf()});
}

Look shown(const std::string& address, const CertificateChain& chain, TlsClient client = TlsClient::standard) {
  Look look;
  look.address = address;
  look.client = client;
  look.state = Look::State::shown;
  look.peer.chain = chain;
  return look;
}

Look failed(const std::string& address, Look::State state, TlsClient client = TlsClient::standard) {
  Look look;
  look.address = address;
  look.client = client;
  look.state = state;
  look.detail = "the reason";
  return look;
}

bool says(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

TEST_CASE("an endpoint is good when one address serves leaf and chain and nobody listens on the other") {
  const CertificateChain ours = ca().issue(rsa_key(), names, in_2026);
  for (const Look::State absent : {Look::State::refused, Look::State::unreachable}) {
    const Verdict verdict = judge({failed("::1", absent), shown("127.0.0.1", ours)}, ours);
    CHECK(verdict.ok);
    CHECK(verdict.listening);
    CHECK(verdict.shown);
    CHECK(verdict.detail.empty());
  }
}

TEST_CASE("an endpoint where one of two listening addresses is stale is not good, and that address is named") {
  const CertificateChain ours = ca().issue(rsa_key(), names, in_2026);
  const CertificateChain old = ca().issue(other_rsa_key(), names, in_2026);
  const Verdict verdict = judge({shown("::1", old), shown("127.0.0.1", ours)}, ours);
  CHECK_FALSE(verdict.ok);
  CHECK(says(verdict.detail, "::1 serves another certificate"));
  CHECK(says(verdict.detail, old.leaf().serial()));
  CHECK(says(verdict.detail, old.leaf().issuer()));
  CHECK(says(verdict.detail, "2026-04-01"));
  CHECK_FALSE(says(verdict.detail, "127.0.0.1"));
}

TEST_CASE("an endpoint where nobody listens is neither good nor listening") {
  const CertificateChain ours = ca().issue(rsa_key(), names, in_2026);
  const Verdict verdict =
      judge({failed("::1", Look::State::refused), failed("127.0.0.1", Look::State::unreachable)}, ours);
  CHECK_FALSE(verdict.ok);
  CHECK_FALSE(verdict.listening);
  CHECK_FALSE(verdict.shown);
  CHECK(says(verdict.detail, "127.0.0.1: the reason"));
}

TEST_CASE("a listener that says nothing or speaks no TLS spoils its endpoint") {
  const CertificateChain ours = ca().issue(rsa_key(), names, in_2026);
  for (const Look::State state : {Look::State::silent, Look::State::no_tls}) {
    const Verdict verdict = judge({failed("::1", state), shown("127.0.0.1", ours)}, ours);
    CHECK_FALSE(verdict.ok);
    CHECK(verdict.listening);
    CHECK(verdict.detail == "::1 shows no certificate: the reason");
    CHECK_FALSE(judge({failed("::1", state)}, ours).shown);
  }
}

TEST_CASE("a leaf without its chain is not enough, and the cure is named") {
  const CertificateChain ours = ca().issue(rsa_key(), names, in_2026);
  const Verdict verdict = judge({shown("127.0.0.1", leaf_only(ours))}, ours);
  CHECK_FALSE(verdict.ok);
  CHECK(says(verdict.detail, "without its chain"));
  CHECK(says(verdict.detail, "fullchain.pem"));
}

TEST_CASE("another intermediate than ours is not our chain, but a root after it is no harm") {
  const CertificateChain ours = ca().issue(rsa_key(), names, in_2026);
  const CertificateChain strange({ours.leaf(), TestCa().intermediate()});
  CHECK_FALSE(judge({shown("127.0.0.1", strange)}, ours).ok);
  const CertificateChain longer({ours.leaf(), ca().intermediate(), ca().root()});
  CHECK(judge({shown("127.0.0.1", longer)}, ours).ok);
}

TEST_CASE("a handshake that fails after the certificate was shown counts as shown") {
  const CertificateChain ours = ca().issue(rsa_key(), names, in_2026);
  Look look = shown("127.0.0.1", ours);
  look.peer.completed = false;
  look.peer.failure = "certificate required";
  CHECK(judge({look}, ours).ok);
}

TEST_CASE("devices of TLS 1.2 with RSA must not see another certificate than the others do") {
  const CertificateChain old = ca().issue(other_rsa_key(), names, in_2026);
  for (const PrivateKey& key : {rsa_key(), ec_key()}) {
    const CertificateChain ours = ca().issue(key, names, in_2026);
    const Verdict verdict = judge({shown("127.0.0.1", ours), shown("127.0.0.1", old, TlsClient::rsa_tls12)}, ours);
    CHECK_FALSE(verdict.ok);
    CHECK(says(verdict.detail, "127.0.0.1 serves to clients of TLS 1.2 with RSA another certificate"));
  }
}

TEST_CASE("a listener of TLS 1.3 only, or with an EC key, need not answer a client of TLS 1.2 with RSA") {
  for (const PrivateKey& key : {rsa_key(), ec_key()}) {
    const CertificateChain ours = ca().issue(key, names, in_2026);
    CHECK(judge({shown("127.0.0.1", ours), failed("127.0.0.1", Look::State::no_tls, TlsClient::rsa_tls12)}, ours).ok);
  }
}

TEST_CASE("an address that is wrong for both kinds of client is reported once") {
  const CertificateChain ours = ca().issue(rsa_key(), names, in_2026);
  const CertificateChain old = ca().issue(other_rsa_key(), names, in_2026);
  const std::string detail =
      judge({shown("127.0.0.1", old), shown("127.0.0.1", old, TlsClient::rsa_tls12)}, ours).detail;
  CHECK(detail.find(old.leaf().serial()) == detail.rfind(old.leaf().serial()));
}

TEST_CASE("a placeholder on the wire is called one") {
  const CertificateChain ours = ca().issue(rsa_key(), names, in_2026);
  const CertificateChain placeholder({make_placeholder(rsa_key(), names, in_2026.not_before, 24h)});
  CHECK(judge({shown("127.0.0.1", placeholder)}, ours).detail == "127.0.0.1 serves a placeholder");
  CHECK(judge({shown("127.0.0.1", placeholder)}, placeholder).ok);
}

struct Looking {
  TempDir dir;
  FakeBroker broker{dir.path()};

  void serve(const PrivateKey& key) {
    write_file(dir / "fullchain.pem", ca().issue(key, names, in_2026).pem(), {});
    write_file(dir / "privkey.pem", key.to_pem().reveal(), {});
    broker.load();
  }
  std::vector<Look> look(Duration timeout = 5s) const {
    return look_at(broker.endpoint(), "mqtt.example", timeout, {});
  }
};

TEST_CASE("a broker with an RSA key is seen by both kinds of client") {
  Looking t;
  t.serve(rsa_key());
  const std::vector<Look> looks = t.look();
  REQUIRE(looks.size() == 2);
  CHECK(looks[0].client == TlsClient::standard);
  CHECK(looks[1].client == TlsClient::rsa_tls12);
  for (const Look& look : looks) {
    CHECK(look.address == "127.0.0.1");
    REQUIRE(look.state == Look::State::shown);
    CHECK(look.peer.chain->certificates().size() == 2);
  }
}

TEST_CASE("a broker that was reloaded from EC to RSA shows each kind of client another certificate") {
  Looking t;
  t.serve(ec_key());
  t.serve(rsa_key());
  const std::vector<Look> looks = t.look();
  REQUIRE(looks.size() == 2);
  REQUIRE(looks[0].state == Look::State::shown);
  REQUIRE(looks[1].state == Look::State::shown);
  CHECK(looks[0].peer.chain->leaf().has_public_key_of(ec_key()));
  CHECK(looks[1].peer.chain->leaf().has_public_key_of(rsa_key()));
}

TEST_CASE("a broker that lost its key shows nothing, and is not looked at twice") {
  Looking t;
  const std::vector<Look> looks = t.look();
  REQUIRE(looks.size() == 1);
  CHECK(looks[0].state == Look::State::no_tls);
  CHECK_FALSE(looks[0].detail.empty());
}

TEST_CASE("a port that hangs up at once speaks no TLS") {
  Looking t;
  t.broker.change_mood(FakeBroker::Mood::plain);
  REQUIRE(t.look().size() == 1);
  CHECK(t.look()[0].state == Look::State::no_tls);
}

TEST_CASE("a port that never answers is silent after the time given") {
  Looking t;
  t.broker.change_mood(FakeBroker::Mood::silent);
  const auto before = std::chrono::steady_clock::now();
  const std::vector<Look> looks = t.look(200ms);
  REQUIRE(looks.size() == 1);
  CHECK(looks[0].state == Look::State::silent);
  CHECK(std::chrono::steady_clock::now() - before >= 200ms);
  CHECK(std::chrono::steady_clock::now() - before < 3s);
}

TEST_CASE("a port where nobody listens is refused, and so is a host that nobody knows") {
  Looking t;
  const Endpoint gone = t.broker.endpoint();
  t.broker.stop();
  REQUIRE(look_at(gone, "", 5s, {}).size() == 1);
  CHECK(look_at(gone, "", 5s, {})[0].state == Look::State::refused);
  const std::vector<Look> nowhere = look_at({"no-such-host.invalid", 8883}, "", 5s, {});
  REQUIRE(nowhere.size() == 1);
  CHECK(nowhere[0].state == Look::State::refused);
  CHECK(nowhere[0].address == "no-such-host.invalid");
  CHECK_FALSE(nowhere[0].detail.empty());
}

TEST_CASE("a stop ends a look at a silent port at once") {
  Looking t;
  t.broker.change_mood(FakeBroker::Mood::silent);
  std::stop_source stop;
  stop.request_stop();
  CHECK_THROWS_AS(look_at(t.broker.endpoint(), "", 60s, stop.get_token()), Stopped);
}

}  // namespace
}  // namespace acme_agent::test
