#include <doctest/doctest.h>

#include <fstream>

#include <acme_agent/agent/planner.hpp>
#include <acme_agent/agent/renewer.hpp>

#include "renewing.hpp"
#include "support/test_ca.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;
using test::deployed_serial;
using test::Renewing;

namespace {

constexpr Duration day = 24h;

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
  CHECK(record.last_error ==
        "the account https://ca.example/account/2 is deactivated: \"the account is deactivated\" (unauthorized); stop "
        "the agent, set the account aside with 'acme-agent account deactivate --server the fake', and start it again: "
        "then 'acme-agent renew mydyn.example' makes a new one");
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
