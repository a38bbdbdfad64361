#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include <acme_agent/agent/planner.hpp>
#include <acme_agent/agent/renewer.hpp>

#include "renewing.hpp"
#include "support/test_ca.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;
using test::Renewing;

namespace {

constexpr Duration day = 24h;

std::string deployed_serial(const Managed& managed) {
  return Deployer::deployed(managed.target).value().chain.leaf().serial();
}

}  // namespace

TEST_CASE("a new certificate is issued, held and deployed, and all is well") {
  Renewing t;
  const Managed one = t.managed();
  const Outcome outcome = t.renew(one);
  CHECK(outcome.exit_code() == 0);
  CHECK(outcome.issued);
  CHECK(deployed_serial(one) == t.serial());
  CHECK(outcome.next <= t.clock.now() + day);
}

TEST_CASE("a second run has nothing to do and asks nobody") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  const std::size_t requests = t.ca.requests().size();
  const Outcome outcome = t.renew(one);
  CHECK(outcome.exit_code() == 0);
  CHECK_FALSE(outcome.issued);
  CHECK(t.ca.requests().size() == requests);
}

TEST_CASE("a pair that somebody else has put into the state is deployed by the next daily look") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  t.state.certificate(one.name).hold(
      {{key, test::TestCa().issue(key, one.identifiers, {t.clock.now(), t.clock.now() + 90 * day})},
       t.ca.directory_url(),
       ""});
  CHECK(deployed_serial(one) != t.serial());
  t.clock.advance(day + 1h);
  CHECK(t.renew(one, {}).exit_code() == 0);
  CHECK(deployed_serial(one) == t.serial());
}

TEST_CASE("the key that was chosen is used at the next order, once, and stays from then on") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  const PrivateKey next = PrivateKey::generate(KeyType::ec256);
  const CertificateState state = t.state.certificate(one.name);
  state.save_next_key(next);
  CHECK(t.renew(one, {.force = true}).issued);
  CHECK(t.held()->pair.key.thumbprint() != next.thumbprint());

  state.choose_next_key();
  t.ca.fail_issuance("serverInternal", "try later");
  CHECK_FALSE(t.renew(one, {.force = true}).issued);
  CHECK(state.chosen_key());
  t.ca.fail_issuance("", "");
  for (int i = 0; i < 2; ++i) {
    CHECK(t.renew(one, {.force = true}).issued);
    CHECK(t.held()->pair.key.thumbprint() == next.thumbprint());
    CHECK_FALSE(state.chosen_key());
  }
}

TEST_CASE("a chosen key of another type than is wanted is left alone") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  const CertificateState state = t.state.certificate(one.name);
  state.save_next_key(PrivateKey::generate(KeyType::ec384));
  state.choose_next_key();
  CHECK(t.renew(one, {.force = true}).issued);
  CHECK(t.held()->pair.key.type() == KeyType::ec256);
}

TEST_CASE("a chain that the devices would refuse is held and not deployed, and nothing is ordered again") {
  Renewing t;
  Managed one = t.managed();
  t.renew(one);
  const std::string before = deployed_serial(one);
  one.devices = std::make_shared<const DeviceTerms>(DeviceTerms{{}, isrg_root_x1(), "ISRG Root X1", 0});
  const Outcome outcome = t.renew(one, {.force = true});
  CHECK(outcome.issued);
  CHECK(outcome.exit_code() == 3);
  CHECK(outcome.problem.find("and they know only ISRG Root X1") != std::string::npos);
  CHECK(outcome.problem.find("the broker is left as it is") != std::string::npos);
  CHECK(t.serial() != before);
  CHECK(deployed_serial(one) == before);

  const int orders = t.ca.orders_created();
  t.clock.advance(day);
  CHECK(t.renew(one, {}).exit_code() == 3);
  CHECK(t.ca.orders_created() == orders);

  one.devices = nullptr;
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(deployed_serial(one) == t.serial());
}

TEST_CASE("a certificate is renewed when it is due, with the key that it has") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  const std::string first = t.serial();
  const std::string key = t.held()->pair.key.thumbprint();
  t.clock.set(plan_renewal(t.held()->pair.chain.leaf().validity(), spread_of(one.name)) - 1s);
  CHECK_FALSE(t.renew(one).issued);
  t.clock.advance(2s);
  CHECK(t.renew(one).issued);
  CHECK(t.serial() != first);
  CHECK(t.held()->pair.key.thumbprint() == key);
  CHECK(deployed_serial(one) == t.serial());
}

TEST_CASE("a key is made anew for each certificate where that is wanted") {
  Renewing t;
  Managed one = t.managed();
  one.reuse_key = false;
  t.renew(one);
  const std::string key = t.held()->pair.key.thumbprint();
  CHECK(t.renew(one, {.force = true}).issued);
  CHECK(t.held()->pair.key.thumbprint() != key);
}

TEST_CASE("another kind of key, other names or another server need a new certificate now") {
  Renewing t;
  Managed one = t.managed();
  t.renew(one);
  one.key_type = KeyType::ec384;
  CHECK(t.renew(one).issued);
  one.identifiers.push_back({Identifier::Type::dns, "mqtt.mydyn.example"});
  CHECK(t.renew(one).issued);
  CHECK(t.held()->pair.chain.leaf().identifiers().size() == 2);
  CHECK_FALSE(t.renew(one).issued);
}

TEST_CASE("the placeholder stands while the server is away, and carries the key of the certificate to come") {
  Renewing t;
  const Managed one = t.managed();
  t.ca.go_down();
  const Outcome outcome = t.renew(one);
  CHECK(outcome.exit_code() == 1);
  const CertifiedKey placeholder = Deployer::deployed(one.target).value();
  CHECK(placeholder.chain.leaf().placeholder());
  t.ca.come_back();
  t.clock.advance(1min);
  CHECK(t.renew(one, {}).exit_code() == 0);
  CHECK(t.held()->pair.key.thumbprint() == placeholder.key.thumbprint());
  CHECK(deployed_serial(one) == t.serial());
}

TEST_CASE("no placeholder is made where none is wanted") {
  Renewing t;
  Managed one = t.managed();
  one.placeholder = false;
  t.ca.go_down();
  t.renew(one);
  CHECK_FALSE(Deployer::deployed(one.target));
}

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

TEST_CASE("a wait from a clock that was years ahead does not hold anything up") {
  Renewing t;
  const Managed one = t.managed();
  const TimePoint real = t.clock.now();
  t.clock.set(real + 3650 * day);
  t.ca.go_down(1);
  t.renew(one);
  t.clock.set(real);
  CHECK(t.renew(one, {}).exit_code() == 0);
}

TEST_CASE("an order whose finalize was answered into the void is picked up, not ordered again") {
  Renewing t;
  const Managed one = t.managed();
  t.ca.lose_next_answer("finalize");
  CHECK(t.renew(one).exit_code() == 1);
  CHECK(t.state.certificate(one.name).pending());
  CHECK(t.renew(one, {.now = true}).exit_code() == 0);
  CHECK(t.ca.orders_created() == 1);
  CHECK_FALSE(t.state.certificate(one.name).pending());
}

/// What a kill after finalize leaves behind.
void die_after_finalize(Renewing& t, const Managed& one) {
  const Record before = t.record();
  t.ca.lose_next_answer("finalize");
  CHECK(t.renew(one, {.now = true, .force = true}).exit_code() == 1);
  t.state.certificate(one.name).save_record(before);
}

TEST_CASE("a renewal that died after its finalize is finished by the next run, though it is not due") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  const std::string old = t.serial();
  die_after_finalize(t, one);
  CHECK(t.renew(one, {}).issued);
  CHECK(t.serial() != old);
  CHECK(deployed_serial(one) == t.serial());
  CHECK(t.ca.orders_created() == 2);
  CHECK_FALSE(t.renew(one).issued);
}

TEST_CASE("an order whose certificate has grown old meanwhile is made anew at once") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  const Duration lifetime = t.held()->pair.chain.leaf().validity().lifetime();
  SUBCASE("due again") {
    die_after_finalize(t, one);
    t.clock.set(t.clock.now() + lifetime * 4 / 5);
  }
  SUBCASE("expired") {
    die_after_finalize(t, one);
    t.clock.set(t.clock.now() + lifetime * 2);
  }
  const Outcome outcome = t.renew(one, {});
  CHECK(outcome.exit_code() == 0);
  CHECK(outcome.next > t.clock.now());
  CHECK(t.ca.orders_created() == 3);
}

TEST_CASE("what a crash has left of an order that was done with is not gone on with") {
  Renewing t;
  Managed one = t.managed();
  one.reuse_key = false;
  t.renew(one);
  const Held held = t.held().value();
  CHECK_FALSE(held.order_url.empty());
  t.state.certificate(one.name).save_pending({held.pair.key, one.identifiers, {{held.server, held.order_url}}});
  CHECK_FALSE(t.renew(one).issued);
  CHECK_FALSE(t.state.certificate(one.name).pending());
  CHECK(t.renew(one, {.now = true, .force = true}).issued);
  CHECK(t.held()->pair.key.thumbprint() != held.pair.key.thumbprint());
  CHECK(t.ca.orders_created() == 2);
}

TEST_CASE("what comes back is checked: another key or rubbish never become the held pair") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  const std::string good = t.serial();
  const auto refuses = [&] {
    CHECK(t.renew(one, {.now = true, .force = true}).exit_code() == 1);
    CHECK(t.serial() == good);
    CHECK(deployed_serial(one) == good);
  };
  t.ca.wrong_key();
  refuses();
  t.ca.wrong_key(false);
  t.ca.tamper_chain(
      [](const std::string& pem) { return pem + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"; });
  refuses();
  t.ca.tamper_chain(nullptr);
  CHECK(t.renew(one, {.now = true, .force = true}).exit_code() == 0);
  CHECK(t.serial() != good);
}

TEST_CASE("an account is made once for a server, and made again when the server has lost it") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  t.renew(one, {.force = true});
  CHECK(t.ca.accounts_created() == 1);
  t.ca.forget_accounts();
  CHECK(t.renew(one, {.force = true}).exit_code() == 0);
  CHECK(t.ca.accounts_created() == 2);
}

TEST_CASE("an account that somebody has deactivated is told as such, with the commands that make a new one") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  t.ca.deactivate_accounts();
  CHECK(t.renew(one, {.force = true}).exit_code() == 1);
  const Record record = t.record();
  CHECK(
      record.last_error ==
      "the account https://ca.example/account/2 is deactivated: \"the account is deactivated\" (unauthorized); set it "
      "aside with 'acme-agent account deactivate --server the fake', then 'acme-agent renew mydyn.example' makes a "
      "new one");
  CHECK(*record.servers.at(t.ca.directory_url()).next_attempt >= t.clock.now() + 24h);
  t.state.accounts().set_aside(t.ca.directory_url());
  CHECK(t.renew(one, {.now = true}).exit_code() == 0);
  CHECK(t.ca.accounts_created() == 2);
}

TEST_CASE("files that somebody removed from the broker's folder come back with the next look") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  std::filesystem::remove_all(one.target.folder);
  std::filesystem::create_directories(one.target.folder);
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(deployed_serial(one) == t.serial());
  CHECK(t.ca.orders_created() == 1);
}

TEST_CASE("a damaged record costs nothing but its memory") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  std::ofstream(t.state.certificate(one.name).folder() / "record.json") << "{\"failures\": ";
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(t.ca.orders_created() == 1);
}

TEST_CASE("certificates that live for seconds are renewed at half their life") {
  Renewing t;
  t.ca.certificate_lifetime(12s);
  t.ca.backdate(0s);
  const Managed one = t.managed();
  for (int i = 0; i < 100; ++i) {
    const Outcome outcome = t.renew(one, {});
    CHECK(outcome.exit_code() == 0);
    CHECK(outcome.next > t.clock.now());
    CHECK(outcome.next <= t.clock.now() + 7s);
    t.clock.set(outcome.next);
  }
  CHECK(t.ca.orders_created() >= 99);
}

TEST_CASE("a certificate that was set back by more than its share of life is not ordered again and again") {
  Renewing t;
  t.ca.certificate_lifetime(90min);
  t.ca.backdate(1h);
  const Managed one = t.managed();
  const Outcome outcome = t.renew(one);
  CHECK(outcome.exit_code() == 0);
  CHECK(outcome.next >= t.clock.now() + 9min);
  CHECK(outcome.next < t.clock.now() + 30min);
}

TEST_CASE("servable is told although the server cannot be reached") {
  Renewing t;
  const Managed one = t.managed();
  t.ca.go_down();
  bool told = false;
  t.renewer.renew(
      one, {}, [&] { told = told || Deployer::deployed(one.target).has_value(); }, t.stop.get_token());
  CHECK(told);
}

TEST_CASE("a stop is neither a failure nor recorded") {
  Renewing t;
  const Managed one = t.managed();
  t.stop.request_stop();
  CHECK_THROWS_AS(t.renew(one), Stopped);
  CHECK(t.record().failures == 0);
}

TEST_CASE(
    "a certificate of which nobody knows why it lies in the future is replaced once a server confirms the clock") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  t.clock.set(t.clock.now() - 400 * day);
  t.ca.go_down();
  const Outcome doubted = t.renew(one);
  CHECK(doubted.exit_code() == 1);
  CHECK(doubted.problem.find("timedatectl") != std::string::npos);
  t.ca.come_back();
  t.clock.advance(1min);
  CHECK(t.renew(one).exit_code() == 0);
}

TEST_CASE("a damaged account key is kept aside and a new account made") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  for (const auto& folder : std::filesystem::directory_iterator(t.state.path() / "accounts"))
    std::ofstream(folder.path() / "key.pem") << "x";
  CHECK(t.renew(one, {.force = true}).exit_code() == 0);
  CHECK(t.ca.accounts_created() == 2);
  for (const auto& folder : std::filesystem::directory_iterator(t.state.path() / "accounts"))
    CHECK(std::filesystem::exists(folder.path() / "key.pem.damaged"));
}

TEST_CASE("a certificate that had to be rolled back is not deployed again before a day is over, unless somebody asks") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  Record record = t.record();
  record.deploy.ok = false;
  record.deploy.rejected = t.held()->pair.chain.leaf().fingerprint_sha256();
  t.state.certificate(one.name).save_record(record);
  const auto take_away = [&] {
    std::filesystem::remove_all(one.target.folder);
    std::filesystem::create_directories(one.target.folder);
  };
  take_away();
  CHECK(t.renew(one).exit_code() == 3);
  CHECK_FALSE(Deployer::deployed(one.target));
  t.clock.advance(day);
  CHECK(t.renew(one, {}).exit_code() == 0);

  t.state.certificate(one.name).save_record(record);
  take_away();
  CHECK(t.renew(one, {.now = true}).exit_code() == 0);
  CHECK(deployed_serial(one) == t.serial());
}

TEST_CASE("a certificate is renewed at its moment in the window that the server suggests, and says what it replaces") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  const Managed one = t.managed();
  t.renew(one);
  const RenewalAdvice advice = t.record().advice;
  REQUIRE(advice.window.has_value());
  const TimePoint moment = choose_moment(*advice.window, advice.id);
  CHECK(t.record().reason == Reason::ari);
  CHECK(t.record().next_attempt == moment);

  t.clock.set(moment - 1s);
  CHECK_FALSE(t.renew(one).issued);
  t.clock.advance(2s);
  CHECK(t.renew(one).issued);
  const auto requests = t.ca.requests();
  const auto order = std::find_if(requests.rbegin(), requests.rend(),
                                  [](const auto& done) { return done.request.url.ends_with("/new-order"); });
  CHECK(order->payload.find("\"replaces\":\"" + advice.id + "\"") != std::string::npos);
}

TEST_CASE("the server is asked for its advice when it said so, within a minute and a day, and within six hours else") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  const Managed one = t.managed();
  const auto next_check_with = [&](const std::string& retry_after) {
    t.ca.suggest_again_after(retry_after);
    t.clock.advance(day);
    t.renew(one);
    return *t.record().advice.next_check - t.clock.now();
  };
  t.renew(one);
  CHECK(next_check_with("7200") == 2h);
  CHECK(next_check_with("1") == 1min);
  CHECK(next_check_with("9999999") == 24h);
  CHECK(next_check_with("") == 6h);
  const int asked = t.ca.count("/renewal-info");
  t.clock.advance(6h - 1s);
  t.renew(one);
  CHECK(t.ca.count("/renewal-info") == asked);
  t.clock.advance(1s);
  t.renew(one);
  CHECK(t.ca.count("/renewal-info") == asked + 1);
}

TEST_CASE("who is awake to ask for advice takes the look that would be due before the next time, and no other") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  const Managed one = t.managed();
  t.ca.suggest_again_after("86400");
  t.renew(one);
  t.clock.advance(7h);
  t.renew(one, {.now = true});  // looks
  const TimePoint asked = *t.record().advice.next_check;
  t.clock.set(asked);
  t.ca.suggest_again_after("21600");
  CHECK(t.renew(one, {}).next == asked + 6h);
  CHECK(t.record().deploy.last_look < asked);

  t.clock.set(asked + 6h);
  t.ca.suggest_again_after("86400");
  CHECK(t.renew(one, {}).next == asked + 30h);
  CHECK(t.record().deploy.last_look == asked + 6h);
}

TEST_CASE("after a mass revocation the certificate is renewed with the next look at the advice") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  const Managed one = t.managed();
  const Outcome first = t.renew(one);
  t.clock.advance(2 * day);
  t.renew(one);
  t.ca.revoke_all();
  t.clock.set(*t.record().advice.next_check);
  CHECK(t.renew(one).issued);
}

TEST_CASE("a mass revocation on the day of issuance is answered with the next look, and another one the next day") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  const Managed one = t.managed();
  t.renew(one);
  t.ca.revoke_all();
  t.clock.set(*t.record().advice.next_check);
  CHECK(t.renew(one).issued);
  CHECK_FALSE(t.renew(one).issued);

  t.ca.revoke_all();
  const TimePoint issued = t.clock.now();
  t.clock.set(*t.record().advice.next_check);
  CHECK_FALSE(t.renew(one).issued);
  CHECK(t.record().next_attempt == issued + 24h);
  t.clock.set(issued + 24h);
  CHECK(t.renew(one).issued);
}

TEST_CASE("whatever a server has against 'replaces', the order is placed without it") {
  for (const int status : {400, 403, 404, 409, 500}) {
    INFO(status);
    Renewing t;
    t.ca.offer_renewal_info(true);
    const Managed one = t.managed();
    t.renew(one);
    t.ca.refuse_replaces(status, status == 409 ? "alreadyReplaced" : "malformed", "no");
    t.clock.advance(85 * day);
    CHECK(t.renew(one).exit_code() == 0);
    CHECK(t.ca.certificates_issued() == 2);
  }
}

TEST_CASE("a window that makes no sense is none: the share of the lifetime counts") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  t.ca.suggest([](const Validity& validity) { return Window{validity.not_after, validity.not_before}; });
  const Managed one = t.managed();
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(t.record().reason == Reason::lifetime);
  CHECK(*t.record().advice.next_check - t.clock.now() == 6h);
}

TEST_CASE("a server that is away costs no advice that was given, and is asked again soon") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  const Managed one = t.managed();
  t.renew(one);
  const RenewalAdvice before = t.record().advice;
  t.clock.set(*before.next_check);
  t.ca.go_down();
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(t.record().advice.window == before.window);
  CHECK(*t.record().advice.next_check - t.clock.now() == 1min);
}

TEST_CASE("for its advice a server is asked for its directory once a day, and again where that led nowhere") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  t.ca.suggest_again_after("21600");
  const Managed one = t.managed();
  t.renew(one);
  const int asked = t.ca.count("/directory");
  for (int check = 0; check < 4; ++check) {
    t.clock.advance(6h);
    t.renew(one);
  }
  CHECK(t.ca.count("/renewal-info") == 5);
  CHECK(t.ca.count("/directory") == asked);
  t.ca.answer_next("/renewal-info", {.status = 404, .headers = {}, .body = ""});
  t.clock.advance(6h);
  t.renew(one);
  CHECK(t.ca.count("/directory") == asked + 1);  // the day is over
  t.clock.set(*t.record().advice.next_check);
  t.renew(one);
  CHECK(t.ca.count("/renewal-info") == 7);
  CHECK(t.ca.count("/directory") == asked + 2);
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

TEST_CASE("by a clock that is behind, nothing is ordered and nothing is replaced until it is right") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  t.clock.advance(70 * day);
  t.ca.go_down();  // nobody confirms the clock
  const TimePoint real = t.clock.now();
  t.clock.set(std::chrono::sys_days{std::chrono::year{1970} / 1 / 1});
  const Outcome outcome = t.renew(one);
  CHECK(outcome.exit_code() == 1);
  CHECK(outcome.problem.find("clock") != std::string::npos);
  CHECK(outcome.next <= t.clock.now() + 15min);
  CHECK(deployed_serial(one) == t.serial());
  t.ca.come_back();
  t.clock.set(real);
  CHECK(t.renew(one).issued);
}

TEST_CASE("a clock that the server's confirms is trusted, whatever was noted in the future") {
  Renewing t;
  const Managed one = t.managed();
  t.clock.advance(3650 * day);
  t.ca.certificate_lifetime(1h);
  t.renew(one);
  t.clock.advance(-3650 * day);
  t.ca.certificate_lifetime(90 * day);
  t.ca.backdate(1h);
  CHECK(t.renew(one).exit_code() == 0);
}

TEST_CASE("a server whose clock says something else gets no order") {
  Renewing t;
  test::FakeClock servers_clock(t.clock.now() + 2 * day);
  test::FakeCa elsewhere(servers_clock);
  Managed one = t.managed();
  one.servers = {test::server_of(elsewhere, "elsewhere")};
  const Outcome outcome = t.renew(one);
  CHECK(outcome.exit_code() == 1);
  CHECK(outcome.problem.find("the server's says") != std::string::npos);
  CHECK(elsewhere.count("/new-order") == 0);
  CHECK(t.record().failures == 0);
}

TEST_CASE("a chain that is not valid yet waits in the state folder while another one serves") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  const std::string first = deployed_serial(one);
  t.ca.backdate(-30min);
  CHECK(t.renew(one, {.look = true, .force = true}).issued);
  CHECK(t.serial() != first);
  CHECK(deployed_serial(one) == first);
  t.clock.advance(30min);
  t.renew(one, {});
  CHECK(deployed_serial(one) == t.serial());
}

TEST_CASE("a certificate for tests never replaces a real one, unless it is forced to") {
  Renewing t;
  test::FakeCa staging(t.clock, "https://acme-staging-v02.api.letsencrypt.org");
  staging.on_validate([&](const Identifier&, const std::string& token) { return t.answers->visit(token); });
  Managed one = t.managed();
  t.renew(one);
  const std::string first = t.serial();
  one.servers = {test::server_of(staging, "letsencrypt-staging")};
  const Outcome outcome = t.renew(one);
  CHECK(outcome.exit_code() == 1);
  CHECK(outcome.problem.find("--force") != std::string::npos);
  CHECK(t.serial() == first);
  CHECK(t.renew(one, {.look = true, .now = true, .force = true}).issued);
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

TEST_CASE("a pass in which nothing is due reads the record and looks at dates of files, no more") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  t.renew(one);
  // What is not read cannot be missed: other bytes behind the same inode and change time would be needed to notice.
  const std::filesystem::path record = t.state.certificate(one.name).folder() / "record.json";
  const auto written = std::filesystem::last_write_time(record);
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(std::filesystem::last_write_time(record) == written);
}

TEST_CASE("a held pair that was exchanged by hand is noticed though the record says nothing of it") {
  Renewing t;
  const Managed one = t.managed();
  t.renew(one);
  const Held first = *t.held();
  t.renew(one, {.look = true, .force = true});
  const std::string second = t.serial();
  t.state.certificate(one.name).hold(first);
  t.renew(one, {});
  CHECK(t.record().held->fingerprint == first.pair.chain.leaf().fingerprint_sha256());
  CHECK(t.serial() != second);
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
