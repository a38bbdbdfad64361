#include <doctest/doctest.h>

#include <acme_agent/agent/renewer.hpp>

#include "renewing.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;
using test::deployed_serial;
using test::Renewing;

namespace {

constexpr Duration day = 24h;

}  // namespace

TEST_CASE("failures climb the ladder, in the record, for daemon and timer alike") {
  Renewing t;
  const Managed one = t.managed();
  t.ca.fail_validation("mydyn.example", "dns", "NXDOMAIN");
  const std::vector<Duration> ladder{1min, 10min, 100min, day, day};
  for (std::size_t step = 0; step < ladder.size(); ++step) {
    const Outcome outcome = t.renew(one);
    CHECK(outcome.exit_code() == 1);
    CHECK(outcome.problem.find("NXDOMAIN") != std::string::npos);
    CHECK(t.record().failures == static_cast<int>(step) + 1);
    CHECK(outcome.next == t.clock.now() + ladder[step]);
    const int orders = t.ca.orders_created();
    t.clock.advance(ladder[step] - 1s);
    CHECK(t.renew(one).exit_code() == 1);  // a restart does not start the ladder again
    CHECK(t.ca.orders_created() == orders);
    t.clock.advance(1s);
  }
  t.ca.fail_validation("mydyn.example", "", "");
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(t.record().failures == 0);
}

TEST_CASE("a failing renewal is an overdue one, though the certificate still serves") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  t.clock.advance(70 * day);
  t.ca.go_down();
  const Outcome outcome = t.renew(one);
  CHECK(outcome.exit_code() == 1);
  CHECK(deployed_serial(one) == t.serial());
}

TEST_CASE("'renew' overrules our own wait but not the server's") {
  Renewing t;
  const Managed one = t.managed();
  t.ca.go_down(1);
  t.renew(one);
  CHECK(t.renew(one, {.now = true}).exit_code() == 0);

  Renewing u;
  const Managed other = u.managed();
  u.ca.answer_next("order", {.status = 429,
                             .headers = {{"content-type", "application/problem+json"}, {"retry-after", "7200"}},
                             .body = R"({"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"})"});
  u.renew(other);
  const std::size_t requests = u.ca.requests().size();
  CHECK(u.renew(other, {.now = true, .force = true}).exit_code() == 1);
  CHECK(u.ca.requests().size() == requests);
  u.clock.advance(2h);
  CHECK(u.renew(other).exit_code() == 0);
}

TEST_CASE("a forced renewal that fails is tried again by the ladder, not in years when the next one is due") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  const std::string good = t.serial();
  t.ca.wrong_key();
  CHECK(t.renew(one, {.force = true}).exit_code() == 1);
  CHECK(t.record().reason == Reason::retry);
  t.ca.wrong_key(false);
  CHECK(t.renew(one).exit_code() == 1);
  CHECK(t.serial() == good);
  t.clock.advance(2min);
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(t.serial() != good);
}

TEST_CASE("other inputs start afresh") {
  Renewing t;
  Managed one = t.managed();
  t.ca.fail_validation("mydyn.example", "dns", "NXDOMAIN");
  for (int i = 0; i < 3; ++i) t.renew(one, {.now = true});
  one.identifiers = {{Identifier::Type::dns, "right.example"}};
  CHECK(t.renew(one).exit_code() == 0);
}

TEST_CASE("a challenge more is tried at once, however long the others would have waited") {
  Renewing t;
  Managed one = t.managed();
  const auto alpn = std::make_shared<test::ShownAnswers>("tls-alpn-01");
  t.ca.on_validate([&](const Identifier&, const std::string& token) { return alpn->visit(token); });
  for (int i = 0; i < 3; ++i) t.renew(one, {.now = true});
  one.solvers = {t.answers, alpn};
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(t.record().failures == 0);
}

TEST_CASE("other roots to know the server by, or another account binding, are tried at once") {
  Renewing t;
  Managed one = t.managed();
  t.ca.go_down(1);
  t.renew(one);
  CHECK(t.record().failures == 1);
  CHECK_FALSE(t.renew(one, {.look = true}).issued);
  AcmeServer with_roots = *one.servers.front();
  with_roots.asked_with = "roots.pem@1";
  one.servers = {std::make_shared<const AcmeServer>(with_roots)};
  CHECK(t.renew(one, {.look = true}).issued);
}

TEST_CASE("the second server helps out, and the first is asked again for the next renewal") {
  Renewing t;
  test::FakeCa other(t.clock, "https://other.example");
  other.on_validate([&](const Identifier&, const std::string& token) { return t.answers->visit(token); });
  Managed one = t.managed();
  one.servers.push_back(test::server_of(other, "the other"));
  t.ca.go_down();
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(t.held()->server == other.directory_url());
  CHECK(t.record().servers.empty());

  t.ca.come_back();
  t.clock.advance(80 * day);
  CHECK(t.renew(one).issued);
  CHECK(t.held()->server == t.ca.directory_url());
}

TEST_CASE("of two servers that have both not answered, each knows its order again") {
  Renewing t;
  test::FakeCa other(t.clock, "https://other.example");
  other.on_validate([&](const Identifier&, const std::string& token) { return t.answers->visit(token); });
  Managed one = t.managed();
  one.servers.push_back(test::server_of(other, "the other"));
  t.ca.lose_next_answer("finalize");
  other.lose_next_answer("finalize");
  CHECK(t.renew(one).exit_code() == 1);
  REQUIRE(other.orders_created() == 1);
  SUBCASE("the first") {
    other.go_down();
  }
  SUBCASE("the second") {
    t.ca.go_down();
  }
  t.clock.advance(2h);
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(t.ca.orders_created() == 1);
  CHECK(other.orders_created() == 1);
  CHECK_FALSE(t.state.certificate(one.name).pending());
}

TEST_CASE("an account that is paused is shown loudly and left alone for a day, unless somebody asks") {
  Renewing t;
  Response paused;
  paused.status = 429;
  paused.headers.emplace("retry-after", "60");
  paused.body =
      R"({"type":"urn:ietf:params:acme:error:rateLimited","detail":"Your account is temporarily prevented from )"
      R"(requesting certificates for mydyn.example. Please visit: https://ca.example/sfe/v1/unpause?jwt=abc"})";
  t.ca.answer_next("/new-order", paused);
  const Managed one = t.managed();
  const Outcome outcome = t.renew(one);
  CHECK(outcome.exit_code() == 1);
  CHECK(outcome.problem.find("PAUSED") != std::string::npos);
  CHECK(outcome.problem.find("https://ca.example/sfe/v1/unpause?jwt=abc") != std::string::npos);
  CHECK(outcome.next == t.clock.now() + day);
  t.clock.advance(59s);
  const int orders = t.ca.count("/new-order");
  t.renew(one, {.look = true, .now = true});
  CHECK(t.ca.count("/new-order") == orders);  // the server has named a minute
  t.clock.advance(day - 1min);
  t.renew(one, {.look = true});
  CHECK(t.ca.count("/new-order") == orders);
  SUBCASE("the day is over") {
    t.clock.advance(1s);
    CHECK(t.renew(one).exit_code() == 0);
  }
  SUBCASE("somebody has visited the page") {
    CHECK(t.renew(one, {.look = true, .now = true}).exit_code() == 0);
  }
}

TEST_CASE("a wait that the server names is kept to the second, not rounded up to our ladder") {
  Renewing t;
  Response busy;
  busy.status = 503;
  busy.headers.emplace("retry-after", "90");
  t.ca.answer_next("/new-order", busy);
  const Managed one = t.managed();
  CHECK(t.renew(one).next == t.clock.now() + 90s);
}

TEST_CASE("a server that wants to be left alone for ten years is asked again tomorrow") {
  Renewing t;
  Response mistaken;
  mistaken.status = 503;
  mistaken.headers.emplace("retry-after", "315360000");
  t.ca.answer_next("/directory", mistaken);
  CHECK(t.renew(t.managed()).next == t.clock.now() + day);
}

TEST_CASE("what only an operator can mend is tried once a day, and at once when the input changes") {
  Renewing t;
  Response rejected;
  rejected.status = 400;
  rejected.body = R"({"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"no"})";
  t.ca.answer_next("/new-order", rejected);
  Managed one = t.managed();
  CHECK(t.renew(one).next == t.clock.now() + day);
  one.key_type = KeyType::ec384;
  CHECK(t.renew(one).exit_code() == 0);
}

TEST_CASE("a limit of Let's Encrypt is never met, though somebody forces renewals all day") {
  Renewing t;
  test::FakeCa letsencrypt(t.clock, "https://acme-v02.api.letsencrypt.org");
  letsencrypt.enforce_limits();
  letsencrypt.on_validate([&](const Identifier&, const std::string& token) { return t.answers->visit(token); });
  Managed one = t.managed();
  one.servers = {test::server_of(letsencrypt, "letsencrypt")};
  for (int i = 0; i < 20; ++i) {
    t.renew(one, {.look = true, .now = true, .force = true});
    t.clock.advance(10min);
  }
  CHECK(letsencrypt.limits_met() == 0);
  CHECK(letsencrypt.certificates_issued() == 4);
  CHECK(t.renew(one).exit_code() == 0);
}

TEST_CASE("a limit of Let's Encrypt is never met, though a name fails in each of three ways all day") {
  Renewing t;
  test::FakeCa letsencrypt(t.clock, "https://acme-v02.api.letsencrypt.org");
  letsencrypt.enforce_limits();
  letsencrypt.on_validate([](const Identifier&, const std::string&) { return std::nullopt; });
  Managed one = t.managed();
  one.servers = {test::server_of(letsencrypt, "letsencrypt")};
  one.solvers = {t.answers, std::make_shared<test::ShownAnswers>("tls-alpn-01"),
                 std::make_shared<test::ShownAnswers>("dns-01")};
  for (int i = 0; i < 50; ++i) {
    t.renew(one, {.look = true, .now = true, .force = true});
    t.clock.advance(5min);
  }
  CHECK(letsencrypt.limits_met() == 0);
  // five in the bucket, and one more each twelve minutes
  CHECK(letsencrypt.orders_created() >= 20);
  CHECK(letsencrypt.orders_created() <= 26);
}

TEST_CASE("what we see of a name that failed stands behind the server's words") {
  Renewing t;
  std::vector<Identifier> looked_at;
  bool stopped = false;
  const Renewer renewer(
      t.state.accounts(), [&](const std::string& name) { return t.state.certificate(name); }, TimePoint(), t.clock,
      t.log,
      [&](const std::vector<Identifier>& names, const std::string& challenge, const std::vector<std::string>&,
          const std::stop_token&) {
        if (stopped) throw Stopped{};
        looked_at = names;
        return std::vector<std::string>{"there is no " + names.front().value + " in the DNS for " + challenge};
      });
  const Managed managed = t.managed();
  t.ca.on_validate([](const Identifier&, const std::string&) { return std::nullopt; });
  renewer.renew(managed, {.look = true}, {}, t.stop.get_token());
  CHECK(looked_at == managed.identifiers);
  const std::string error = t.record().last_error;
  CHECK(error.starts_with("the server could not validate mydyn.example"));
  CHECK(error.ends_with("; seen from here, there is no mydyn.example in the DNS for http-01"));

  stopped = true;
  t.clock.advance(2h);
  renewer.renew(managed, {.look = true, .now = true}, {}, t.stop.get_token());
  CHECK(t.record().failures == 2);
  CHECK(t.record().last_error.find("seen from here") == std::string::npos);
}

TEST_CASE("nothing is looked up for a certificate that is issued, or refused for other reasons") {
  Renewing t;
  const Renewer renewer(
      t.state.accounts(), [&](const std::string& name) { return t.state.certificate(name); }, TimePoint(), t.clock,
      t.log,
      [](const auto&, const auto&, const auto&, const auto&) -> std::vector<std::string> {
        FAIL("looked up");
        return {};
      });
  t.answers->fail();
  renewer.renew(t.managed(), {.look = true}, {}, t.stop.get_token());
  CHECK(t.record().failures == 1);
  t.answers->fail(false);
  renewer.renew(t.managed(), {.look = true, .now = true}, {}, t.stop.get_token());
  CHECK(t.held());
}
