#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>

#include <acme_agent/agent/planner.hpp>

#include "renewing.hpp"
#include "support/test_ca.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;
using test::Renewing;

namespace {

constexpr Duration day = 24h;

/// An authority on this machine beside an ACME server that may be away.
struct WithAuthority : Renewing {
  test::TestCa authority;
  std::string trouble;  ///< Why it cannot issue; empty: it can.
  bool folder_lost = false;
  int issued = 0;
  int asked = 0;  ///< Whether it issues with a chain.
  std::shared_ptr<const AcmeServer> own = std::make_shared<const AcmeServer>(
      AcmeServer{.url = "local",
                 .name = "local",
                 .connect = {},
                 .external_account = {},
                 .own = OwnAuthority{
                     [this](const PrivateKey& key, const std::vector<Identifier>& names, TimePoint now, bool may_make) {
                       if (!trouble.empty()) throw Error(Remedy::ask_operator, trouble);
                       if (folder_lost && !may_make) throw Error(Remedy::ask_operator, "it is gone");
                       ++issued;
                       return authority.issue(key, names, {now - 1h, now + 90 * day});
                     },
                     [this](const CertificateChain& chain, TimePoint) {
                       ++asked;
                       if (folder_lost) throw std::filesystem::filesystem_error("stat", std::error_code());
                       return chain.certificates().at(1) == authority.intermediate();
                     }}});

  Managed alone() {
    Managed one = managed();
    one.servers = {own};
    one.solvers = {};
    return one;
  }

  Managed as_fallback() {
    Managed one = managed();
    one.servers.push_back(own);
    return one;
  }

  /// Runs the certificate whenever it is due, until then.
  Outcome run_until(const Managed& one, TimePoint end) {
    Outcome outcome = renew(one, {});
    while (std::max(outcome.next, clock.now() + 1s) <= end) {
      clock.advance(std::max<Duration>(std::chrono::ceil<Duration>(outcome.next - clock.now()), 1s));
      outcome = renew(one, {});
    }
    clock.advance(std::chrono::ceil<Duration>(end - clock.now()));
    return outcome;
  }

  bool is_own() { return held()->server == "local"; }
  Validity validity() { return held()->pair.chain.leaf().validity(); }
};

}  // namespace

TEST_CASE("our own authority issues at the first run, and no network, account or challenge is needed") {
  WithAuthority t;
  Managed one = t.alone();
  one.identifiers = {parse_identifier("broker.lan"), parse_identifier("192.168.1.10")};
  one.target.identifiers = one.identifiers;
  const Outcome outcome = t.renew(one);
  CHECK(outcome.exit_code() == 0);
  CHECK(outcome.issued);
  CHECK(same_names(t.held()->pair.chain.leaf().identifiers(), one.identifiers));
  CHECK(t.ca.requests().empty());
  CHECK_FALSE(std::filesystem::exists(t.state.path() / "accounts" / "local"));
  CHECK(Deployer::deployed(one.target).value().chain == t.held()->pair.chain);
  CHECK_FALSE(std::filesystem::exists(std::filesystem::path(one.target.folder) / "..2"));  // no placeholder before it
}

TEST_CASE("what our own authority issued is renewed by share of its life, with the key that it has") {
  WithAuthority t;
  const Managed one = t.alone();
  t.renew(one);
  const std::string key = t.held()->pair.key.thumbprint();
  const TimePoint planned = plan_renewal(t.validity(), spread_of(one.name));
  t.run_until(one, planned - 1h);
  CHECK(t.issued == 1);
  CHECK(t.run_until(one, planned + 1h).exit_code() == 0);
  CHECK(t.issued == 2);
  CHECK(t.held()->pair.key.thumbprint() == key);
}

TEST_CASE("an authority that cannot issue leaves a placeholder, and says why") {
  WithAuthority t;
  const Managed one = t.alone();
  t.trouble = "the passphrase is gone";
  const Outcome outcome = t.renew(one);
  CHECK(outcome.exit_code() == 1);
  CHECK(outcome.problem == "the passphrase is gone");
  CHECK(Deployer::deployed(one.target).value().chain.leaf().placeholder());
  t.trouble.clear();
  CHECK(t.renew(one, {.look = true, .now = true}).exit_code() == 0);
}

TEST_CASE("another authority, or one that has rolled over, makes its certificates due at once") {
  WithAuthority t;
  const Managed one = t.alone();
  t.renew(one);
  t.clock.advance(day);
  CHECK_FALSE(t.renew(one).issued);
  t.authority = test::TestCa();
  const Outcome outcome = t.renew(one);
  CHECK(outcome.issued);
  CHECK(outcome.exit_code() == 0);
  CHECK(t.held()->pair.chain.certificates().at(1) == t.authority.intermediate());
  CHECK_FALSE(t.renew(one).issued);
}

TEST_CASE("our own authority steps in at once where nothing is held and no server can be reached, and says so") {
  WithAuthority t;
  const Managed one = t.as_fallback();
  t.ca.go_down();
  const Outcome outcome = t.renew(one);
  CHECK(t.is_own());
  CHECK(outcome.exit_code() == 1);
  CHECK(outcome.problem.find("the fake: ") == 0);
  CHECK(Deployer::deployed(one.target).value().chain == t.held()->pair.chain);
}

TEST_CASE("our own authority takes the place of a good certificate only when little is left") {
  WithAuthority t;
  const Managed one = t.as_fallback();
  t.renew(one);
  const Validity validity = t.validity();
  t.ca.go_down();
  t.run_until(one, validity.not_after - validity.lifetime() / 30 - 1h);
  CHECK(t.issued == 0);
  CHECK_FALSE(t.is_own());
  t.run_until(one, validity.not_after - validity.lifetime() / 60);
  CHECK(t.issued == 1);
  CHECK(t.is_own());
}

TEST_CASE("a makeshift goes as soon as the server answers again, and is not issued again until it is due") {
  WithAuthority t;
  const Managed one = t.as_fallback();
  t.ca.go_down();
  t.renew(one);
  CHECK(t.run_until(one, t.clock.now() + 20 * day).exit_code() == 1);
  CHECK(t.issued == 1);
  t.ca.come_back();
  CHECK(t.run_until(one, t.clock.now() + 100min).exit_code() == 0);
  CHECK_FALSE(t.is_own());
  CHECK(t.issued == 1);
  CHECK(t.record().failures == 0);
}

TEST_CASE("a makeshift is renewed when no server comes back for all its life") {
  WithAuthority t;
  const Managed one = t.as_fallback();
  t.ca.go_down();
  t.renew(one);
  t.run_until(one, t.clock.now() + 200 * day);
  CHECK(t.issued == 4);  // at 0, 60, 120 and 180 days
  CHECK(t.validity().contains(t.clock.now()));
}

TEST_CASE("somebody who asks for a renewal gets the makeshift replaced, not another one") {
  WithAuthority t;
  const Managed one = t.as_fallback();
  t.ca.go_down();
  t.renew(one);
  CHECK(t.renew(one, {.look = true, .now = true, .force = true}).exit_code() == 1);
  CHECK(t.issued == 1);
  t.ca.come_back();
  CHECK(t.renew(one, {.look = true, .now = true}).exit_code() == 0);
  CHECK_FALSE(t.is_own());
}

TEST_CASE("a name that the server refuses does not bring our own authority into the place of a good certificate") {
  WithAuthority t;
  Managed one = t.as_fallback();
  t.renew(one);
  one.identifiers.push_back(parse_identifier("other.example"));
  t.ca.fail_validation("other.example", "connection", "no route");
  t.run_until(one, t.clock.now() + 10 * day);
  CHECK(t.issued == 0);
  CHECK_FALSE(t.is_own());
}

TEST_CASE("where our own authority is preferred, what it issues is no makeshift") {
  WithAuthority t;
  Managed one = t.as_fallback();
  std::swap(one.servers.front(), one.servers.back());
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(t.is_own());
  t.clock.advance(day);
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(t.ca.requests().empty());
}

TEST_CASE("our own authority issues to nobody whose clock cannot be right") {
  WithAuthority t;
  const Managed one = t.alone();
  t.renew(one);
  t.clock.set(t.clock.now() - 30 * day);
  CHECK(t.renew(one).exit_code() == 1);
  CHECK(t.issued == 1);
}

TEST_CASE("where nobody can be asked the time, a clock that was ahead once stops nothing when it is right") {
  WithAuthority t;
  const Managed one = t.alone();
  t.renew(one);
  const TimePoint real = t.clock.now();
  t.clock.advance(20 * day);
  t.renew(one);
  t.clock.set(real + 1h);
  CHECK(t.renew(one).exit_code() == 0);
  t.run_until(one, plan_renewal(t.validity(), spread_of(one.name)) + 1h);
  CHECK(t.issued == 2);
}

TEST_CASE("a certificate of a clock that was years ahead goes when somebody who knows the time forces it") {
  WithAuthority t;
  const Managed one = t.alone();
  const TimePoint real = t.clock.now();
  t.clock.advance(5 * 365 * day);
  t.renew(one);
  t.clock.set(real);
  const Outcome doubted = t.renew(one);
  CHECK(doubted.exit_code() == 1);
  CHECK(doubted.problem.find("--force") != std::string::npos);
  CHECK(t.renew(one, {.look = true, .now = true, .force = true}).exit_code() == 0);
  CHECK(t.validity().contains(real));
}

TEST_CASE("an authority that has vanished leaves what it issued in place, and no other one takes its name") {
  WithAuthority t;
  const Managed one = t.alone();
  t.folder_lost = true;  // there never was one
  t.renew(one);
  CHECK(t.issued == 1);
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(t.issued == 1);
  const Outcome outcome = t.renew(one, {.look = true, .now = true, .force = true});
  CHECK(outcome.exit_code() == 1);
  CHECK(outcome.problem == "it is gone");
  CHECK(t.issued == 1);
}

TEST_CASE("our own authority is asked what it issues with once a day, and when somebody looks") {
  WithAuthority t;
  const Managed one = t.alone();
  t.renew(one);
  t.renew(one);
  CHECK(t.asked == 1);
  t.clock.advance(1h);
  t.renew(one, {});
  CHECK(t.asked == 1);
  t.clock.advance(day);
  t.renew(one, {});
  CHECK(t.asked == 2);
}

TEST_CASE("our own authority is woken for when it may stand in, whatever wait another server has asked for") {
  WithAuthority t;
  const Managed one = t.as_fallback();
  t.ca.certificate_lifetime(160h);
  t.renew(one);
  const TimePoint end = t.validity().not_after;
  t.clock.set(end - 20h);
  t.ca.answer_next("/new-order", {.status = 429,
                                  .headers = {{"content-type", "application/problem+json"}, {"retry-after", "122400"}},
                                  .body = R"({"type":"urn:ietf:params:acme:error:rateLimited","detail":"later"})"});
  CHECK(t.renew(one).exit_code() == 1);
  t.run_until(one, end - 6h);
  CHECK_FALSE(t.is_own());
  t.run_until(one, end - 5h);
  CHECK(t.is_own());
}

TEST_CASE("a server that cannot validate the name is asked once a day while our own authority stands in") {
  WithAuthority t;
  const Managed one = t.as_fallback();
  t.ca.fail_validation("mydyn.example", "connection", "no route");
  t.renew(one);
  REQUIRE(t.is_own());
  t.clock.advance(day);
  const int orders = t.ca.orders_created();
  t.run_until(one, t.clock.now() + 10 * day);
  CHECK(t.ca.orders_created() - orders >= 9);
  CHECK(t.ca.orders_created() - orders <= 14);
}

TEST_CASE("an order that was under way when our own authority stepped in is gone on with") {
  WithAuthority t;
  const Managed one = t.as_fallback();
  t.ca.lose_next_answer("finalize");
  t.renew(one);
  REQUIRE(t.is_own());
  CHECK(t.run_until(one, t.clock.now() + 2h).exit_code() == 0);
  CHECK_FALSE(t.is_own());
  CHECK(t.ca.orders_created() == 1);
  CHECK_FALSE(t.state.certificate(one.name).pending());
}
