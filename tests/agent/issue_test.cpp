#include <doctest/doctest.h>

#include <set>

#include <acme_agent/agent/issue.hpp>
#include <acme_agent/challenge/dns_persist_solver.hpp>
#include <acme_agent/crypto/private_key.hpp>

#include "support/fake_ca.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_name_server.hpp"
#include "support/shown_answers.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;

namespace {

const std::vector<Identifier> one_name{{Identifier::Type::dns, "mydyn.example"}};
const Identifier wildcard{Identifier::Type::dns, "*.mydyn.example"};

/// An account that can order, and a CA that comes to see the answers.
struct Issuing {
  test::FakeClock clock;
  test::FakeCa ca{clock};
  std::shared_ptr<test::ShownAnswers> http = std::make_shared<test::ShownAnswers>();
  test::ShownAnswers& answers = *http;
  std::shared_ptr<test::ShownAnswers> alpn = std::make_shared<test::ShownAnswers>("tls-alpn-01");
  std::shared_ptr<test::ShownAnswers> dns = std::make_shared<test::ShownAnswers>("dns-01");
  Solvers solvers{http};
  std::unique_ptr<Transport> transport = ca.connect();
  std::stop_source stop;
  Session session{*transport, clock, ca.directory_url(), PrivateKey::generate(KeyType::ec256), ""};
  PrivateKey key = PrivateKey::generate(KeyType::ec256);
  std::vector<std::string> stored_orders;
  bool asked_for_another_key = false;
  std::vector<std::vector<Identifier>> failed_validations;
  bool may_order_again = true;
  std::set<std::string> unseen;  ///< Types of challenges whose answers the CA cannot see.

  Issuing() {
    ca.on_validate([this](const Identifier&, const std::string& token) {
      for (const auto& shown : {http, alpn, dns})
        if (const auto seen = shown->visit(token); seen && !unseen.contains(shown->type())) return seen;
      return std::optional<std::string>();
    });
    session.new_account("", stop.get_token());
  }

  CertifiedKey issue(const std::vector<Identifier>& identifiers = one_name, const std::string& pending = "") {
    const IssueRequest request{.identifiers = identifiers,
                               .pending_order = pending,
                               .key =
                                   [this](const std::string& order, bool refused) {
                                     stored_orders.push_back(order);
                                     asked_for_another_key = asked_for_another_key || refused;
                                     if (refused) key = PrivateKey::generate(KeyType::ec256);
                                     return key;
                                   },
                               .validation_failed =
                                   [this](const ValidationError& failed, bool) {
                                     failed_validations.push_back(failed.names());
                                     return may_order_again;
                                   },
                               .progress = [](std::string_view) {}};
    return acme_agent::issue(session, solvers, clock, request, stop.get_token());
  }

  std::string message_of_failure(const std::vector<Identifier>& identifiers = one_name) {
    try {
      issue(identifiers);
    } catch (const Error& error) {
      return error.message();
    }
    return "it was issued";
  }
};

}  // namespace

TEST_CASE("an order ends with a chain for our key and our names, and nothing is shown any more") {
  Issuing t;
  const std::vector<Identifier> names{{Identifier::Type::dns, "a.example"}, {Identifier::Type::dns, "b.example"}};
  const CertifiedKey pair = t.issue(names);
  check_issued(pair, names, t.clock.now());
  CHECK(t.answers.count() == 0);
}

TEST_CASE("a well-behaved server costs no wait, and a first certificate ten requests") {
  Issuing t;
  const TimePoint before = t.clock.now();
  t.issue();
  CHECK(t.clock.now() - before < 50ms);
  CHECK(t.ca.requests().size() <= 10);
}

TEST_CASE("order and key are stored before the order is finalized") {
  Issuing t;
  t.ca.go_down(0);
  t.issue();
  REQUIRE(t.stored_orders.size() == 1);
  bool stored_is_ours = false;
  for (const auto& exchange : t.ca.requests())
    stored_is_ours = stored_is_ours || exchange.request.url == t.stored_orders[0];
  CHECK(stored_is_ours);
}

TEST_CASE("authorizations that are valid already are not answered again") {
  Issuing t;
  t.ca.reuse_authorizations();
  t.issue();
  t.ca.on_validate([](const Identifier&, const std::string&) { return std::nullopt; });
  CHECK_NOTHROW(t.issue());
}

TEST_CASE("a server that never validates costs five minutes, not for ever") {
  Issuing t;
  t.ca.keep_pending();
  const TimePoint before = t.clock.now();
  CHECK_THROWS_AS(t.issue(), Error);
  CHECK(t.clock.now() - before >= 5min);
  CHECK(t.clock.now() - before < 6min);
  CHECK(t.answers.count() == 0);
}

TEST_CASE("Retry-After is obeyed to the second") {
  Issuing t;
  t.ca.validating_polls(3);
  t.ca.retry_after("7");
  const TimePoint before = t.clock.now();
  t.issue();
  CHECK(t.clock.now() - before >= 7s);
  CHECK(t.ca.count("/order/") <= 6);
}

TEST_CASE("a server that wants to be asked in an hour is taken at its word") {
  Issuing t;
  t.ca.keep_pending();
  t.ca.retry_after("3600");
  try {
    t.issue();
    FAIL("it was issued");
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::wait);
    CHECK(error.not_before() == t.clock.now() + 1h);
  }
}

TEST_CASE("an order that is processed for a while is waited for") {
  Issuing t;
  t.ca.processing_polls(5);
  CHECK_NOTHROW(t.issue());
}

TEST_CASE("a validation that fails names the name and says what the server saw") {
  Issuing t;
  t.ca.fail_validation("mydyn.example", "connection", "Timeout during connect");
  const std::string message = t.message_of_failure();
  CHECK(message.find("mydyn.example") != std::string::npos);
  CHECK(message.find("Timeout during connect") != std::string::npos);
  CHECK(t.answers.count() == 0);
}

TEST_CASE("an order that fails after finalize says why") {
  Issuing t;
  t.ca.fail_issuance("caa", "CAA record forbids it");
  CHECK(t.message_of_failure().find("CAA record forbids it") != std::string::npos);
}

TEST_CASE("a pending order of an earlier run is gone on with, and nothing new is ordered") {
  Issuing t;
  t.ca.lose_next_answer("finalize");
  CHECK_THROWS_AS(t.issue(), Error);
  REQUIRE(t.stored_orders.size() == 1);
  const CertifiedKey pair = t.issue(one_name, t.stored_orders[0]);
  check_issued(pair, one_name, t.clock.now());
  CHECK(t.ca.orders_created() == 1);
  CHECK(t.ca.certificates_issued() == 1);
}

TEST_CASE("a pending order that the server has forgotten, or that failed, is replaced by a new one") {
  Issuing t;
  t.ca.lose_next_answer("finalize");
  CHECK_THROWS_AS(t.issue(), Error);
  t.ca.forget_orders();
  CHECK_NOTHROW(t.issue(one_name, t.stored_orders[0]));
  CHECK(t.ca.orders_created() == 2);
}

TEST_CASE("a pending order for other names is left alone") {
  Issuing t;
  t.ca.lose_next_answer("finalize");
  CHECK_THROWS_AS(t.issue(), Error);
  const std::vector<Identifier> other{{Identifier::Type::dns, "other.example"}};
  check_issued(t.issue(other, t.stored_orders[0]), other, t.clock.now());
}

TEST_CASE("an answer that cannot be shown ends the attempt before the server is told anything") {
  Issuing t;
  t.answers.fail();
  CHECK(t.message_of_failure().find("the port is taken") != std::string::npos);
  for (const auto& exchange : t.ca.requests()) CHECK(exchange.payload != "{}");
}

TEST_CASE("challenges without a token and of unknown types are passed over") {
  Issuing t;
  t.ca.extra_challenge(R"({"type":"dns-persist-01","url":"https://ca.example/chall/x","status":"pending"})");
  t.ca.extra_challenge(R"({"type":"carrier-pigeon-01","url":"https://ca.example/chall/y","status":"cooing"})");
  CHECK_NOTHROW(t.issue());
}

TEST_CASE("rejected nonces make it slower and nothing else") {
  for (const int percent : {5, 20, 50}) {
    Issuing t;
    t.ca.reject_nonces(percent);
    CHECK_NOTHROW(t.issue());
  }
}

TEST_CASE("a key that the server refuses is replaced by another, once") {
  Issuing t;
  t.ca.answer_next("finalize", {.status = 400,
                                .headers = {{"content-type", "application/problem+json"}},
                                .body = R"({"type":"urn:ietf:params:acme:error:badPublicKey","detail":"weak"})"});
  const CertifiedKey pair = t.issue();
  check_issued(pair, one_name, t.clock.now());
  CHECK(t.asked_for_another_key);
}

TEST_CASE("where a name cannot be validated in one way, a new order in the same attempt uses the next") {
  Issuing t;
  t.solvers = {t.http, t.alpn};
  t.unseen = {"http-01"};
  check_issued(t.issue(), one_name, t.clock.now());
  CHECK(t.ca.orders_created() == 2);
  CHECK(t.failed_validations == std::vector<std::vector<Identifier>>{one_name});
  CHECK(t.http->count() + t.alpn->count() == 0);
}

TEST_CASE("each way is tried once, and the error tells of all") {
  Issuing t;
  t.solvers = {t.http, t.alpn, t.dns};
  t.unseen = {"http-01", "tls-alpn-01", "dns-01"};
  const std::string message = t.message_of_failure();
  CHECK(t.ca.orders_created() == 3);
  CHECK(t.failed_validations.size() == 3);
  const std::size_t by_http = message.find("mydyn.example by http-01: ");
  const std::size_t by_alpn = message.find("mydyn.example by tls-alpn-01: ");
  CHECK(by_http < by_alpn);
  CHECK(message.rfind("the server could not validate") == 0);
  CHECK(by_alpn < message.find("mydyn.example by dns-01: "));
  CHECK(message.find("mydyn.example by dns-01: ") != std::string::npos);
}

TEST_CASE("only what failed is proven in another way the next time") {
  Issuing t;
  t.solvers = {t.http, t.alpn};
  t.ca.on_validate([&](const Identifier& name, const std::string& token) {
    const auto by_http = t.http->visit(token);
    return by_http && name.value == "b.example" ? std::nullopt : by_http ? by_http : t.alpn->visit(token);
  });
  t.issue({{Identifier::Type::dns, "a.example"}, {Identifier::Type::dns, "b.example"}});
  REQUIRE(t.alpn->asked().size() == 1);
  CHECK(t.alpn->asked()[0].identifier.value == "b.example");
}

TEST_CASE("no other way is tried where that is not allowed now") {
  Issuing t;
  t.solvers = {t.http, t.alpn};
  t.unseen = {"http-01"};
  t.may_order_again = false;
  CHECK_THROWS_AS(t.issue(), ValidationError);
  CHECK(t.ca.orders_created() == 1);
  CHECK(t.failed_validations == std::vector<std::vector<Identifier>>{one_name});
}

TEST_CASE("no other way is tried where one of the names that failed has none") {
  Issuing t;
  t.solvers = {t.http, t.dns};
  t.ca.on_validate([](const Identifier&, const std::string&) { return std::nullopt; });
  CHECK_THROWS_AS(t.issue({wildcard}), ValidationError);
  CHECK(t.ca.orders_created() == 1);
}

TEST_CASE("an answer that cannot be shown makes room for the next way, within the order") {
  Issuing t;
  t.solvers = {t.http, t.alpn};
  t.http->fail();
  CHECK_NOTHROW(t.issue());
  CHECK(t.ca.orders_created() == 1);
  t.alpn->fail();
  CHECK(t.message_of_failure() == "the port is taken; the port is taken");
}

TEST_CASE("each name is proven in the first way that the server offers for it") {
  Issuing t;
  t.solvers = {t.http, t.dns};
  const std::vector<Identifier> names{one_name[0], wildcard};
  check_issued(t.issue(names), names, t.clock.now());
  CHECK(t.ca.orders_created() == 1);
  REQUIRE(t.http->asked().size() == 1);
  CHECK(t.http->asked()[0].identifier == one_name[0]);
  REQUIRE(t.dns->asked().size() == 1);
  CHECK(t.dns->asked()[0].identifier == wildcard);
  CHECK(t.dns->asked()[0].together == std::vector<Identifier>{wildcard});
  CHECK(t.dns->asked()[0].remaining == 0);
}

TEST_CASE("each answer comes with the names that are proven together, and with how many are still to come") {
  Issuing t;
  t.issue({{Identifier::Type::dns, "a.example"}, {Identifier::Type::dns, "b.example"}});
  const std::vector<ChallengeAnswer> asked = t.http->asked();
  REQUIRE(asked.size() == 2);
  CHECK(asked[0].together.size() == 2);
  CHECK(asked[0].remaining == 1);
  CHECK(asked[1].together == asked[0].together);
  CHECK(asked[1].remaining == 0);
}

/// Answers like another solver, and counts what the server was told while the answers are waited for.
class LateAnswers final : public Solver {
 public:
  LateAnswers(Solver& answers, const test::FakeCa& ca) : answers_(answers), ca_(ca) {}

  std::string type() const override { return answers_.type(); }
  std::unique_ptr<Presentation> present(const ChallengeAnswer& answer, const std::stop_token& stop) override {
    return std::make_unique<Late>(*this, answers_.present(answer, stop));
  }

  int waited_for = 0;
  int told = 0;

 private:
  class Late final : public Presentation {
   public:
    Late(LateAnswers& all, std::unique_ptr<Presentation> answer) : all_(all), answer_(std::move(answer)) {}

    void await_shown(const std::stop_token&) const override {
      ++all_.waited_for;
      all_.told += all_.ca_.count("/challenge/");
    }

   private:
    LateAnswers& all_;
    const std::unique_ptr<Presentation> answer_;
  };

  Solver& answers_;
  const test::FakeCa& ca_;
};

TEST_CASE("the server is told nothing before every answer can be seen") {
  Issuing t;
  const auto late = std::make_shared<LateAnswers>(*t.http, t.ca);
  t.solvers = {late};
  t.issue({{Identifier::Type::dns, "a.example"}, {Identifier::Type::dns, "b.example"}});
  CHECK(late->waited_for == 2);
  CHECK(late->told == 0);
  CHECK(t.ca.count("/challenge/") == 2);
}

TEST_CASE("a wildcard without dns-01 is refused in one sentence that says what is needed") {
  Issuing t;
  t.solvers = {t.http, t.alpn};
  const std::string message = t.message_of_failure({wildcard});
  CHECK(message ==
        "the server at ca.example offers no http-01 and tls-alpn-01 challenge for *.mydyn.example, but dns-01: a "
        "wildcard can be "
        "proven "
        "by its DNS only, so add --challenge dns-01 with --dns-update or --dns-hook");
}

TEST_CASE("an address without http-01 and tls-alpn-01 is refused in one sentence that says what is needed") {
  Issuing t;
  t.solvers = {t.dns};
  const std::string message = t.message_of_failure({{Identifier::Type::ip, "192.0.2.1"}});
  CHECK(message.find("no dns-01 challenge for 192.0.2.1") != std::string::npos);
  CHECK(message.ends_with("an address is proven by --challenge http-01 or tls-alpn-01"));
}

/// One bit of one answer is wrong.
class FlippedBit final : public Transport {
 public:
  FlippedBit(Transport& transport, std::size_t exchange, std::size_t byte)
      : transport_(transport), left_(exchange), byte_(byte) {}

  Response send(const Request& request, const std::stop_token& stop) override {
    Response response = transport_.send(request, stop);
    if (left_-- != 0) return response;
    seen_ = true;
    hit_ = byte_ < response.body.size();
    if (hit_) response.body[byte_] = static_cast<char>(response.body[byte_] ^ 1);
    return response;
  }

  bool seen() const { return seen_; }
  bool hit() const { return hit_; }

 private:
  Transport& transport_;
  std::size_t left_;
  const std::size_t byte_;
  bool seen_ = false;
  bool hit_ = false;
};

TEST_CASE("whatever bit of an answer is wrong, the sentence names the server or has its words") {
  constexpr std::size_t step = 31;
  Issuing t;
  int failures = 0;
  const auto flip = [&](std::size_t exchange, std::size_t byte) {
    FlippedBit wire(*t.transport, exchange, byte);
    Session session{wire, t.clock, t.ca.directory_url(), PrivateKey::generate(KeyType::ec256), ""};
    const IssueRequest request{.identifiers = one_name,
                               .pending_order = {},
                               .key = [&](const std::string&, bool) { return t.key; },
                               .validation_failed = [](const ValidationError&, bool) { return false; },
                               .progress = [](std::string_view) {}};
    try {
      session.new_account("", t.stop.get_token());
      check_issued(issue(session, t.solvers, t.clock, request, t.stop.get_token()), one_name, t.clock.now());
    } catch (const Error& error) {
      ++failures;
      const std::string& said = error.message();
      const bool named = said.find("the server at ") != std::string::npos || said.find("\" (") != std::string::npos ||
                         said.find("the issued certificate") != std::string::npos;
      CHECK_MESSAGE(named, "exchange ", exchange, ", byte ", byte, ": ", said);
    }
    return std::pair(wire.seen(), wire.hit());
  };
  for (std::size_t exchange = 0;; ++exchange) {
    if (!flip(exchange, exchange % step).first) break;
    for (std::size_t byte = exchange % step; flip(exchange, byte).second;) byte += step;
  }
  CHECK(failures > 20);
}

TEST_CASE("a challenge of ours without a token is the server's fault, and soon tried again") {
  Issuing t;
  t.solvers = {std::make_shared<test::ShownAnswers>("carrier-pigeon-01")};
  t.ca.extra_challenge(R"({"type":"carrier-pigeon-01","url":"https://ca.example/chall/y","status":"pending"})");
  try {
    t.issue();
    FAIL("it was issued");
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::retry);
    CHECK(error.message().find("ca.example sent a challenge carrier-pigeon-01 for mydyn.example that cannot be ") !=
          std::string::npos);
  }
}

TEST_CASE("a stop ends it at once") {
  Issuing t;
  t.ca.keep_pending();
  t.stop.request_stop();
  CHECK_THROWS_AS(t.issue(), Stopped);
  CHECK(t.answers.count() == 0);
}

TEST_CASE("a dns-persist-01 with a token and without usable issuers is none that can be answered") {
  const test::FakeNameServer server(
      [](const test::Asked& asked) { return std::vector{test::wire_response(asked, dns_no_such_name, {})}; });
  Issuing t;
  t.solvers = {std::make_shared<DnsPersistSolver>([&] { return Resolver({server.endpoint()}); }, t.clock)};
  t.ca.extra_challenge(
      R"({"type":"dns-persist-01","url":"https://ca.example/chall/x","status":"pending","token":"abc"})");
  CHECK(t.message_of_failure().find("cannot be answered") != std::string::npos);
}
