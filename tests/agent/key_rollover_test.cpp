#include <doctest/doctest.h>

#include <acme_agent/acme/session.hpp>
#include <acme_agent/agent/key_rollover.hpp>

#include "renewing.hpp"

using namespace acme_agent;
using test::Renewing;

namespace {

const std::stop_token never;

/// An agent with an account, whose key is to be changed.
struct Rolling : Renewing {
  Managed one = managed();
  std::unique_ptr<Transport> transport = ca.connect();
  Accounts accounts = state.accounts();
  const std::string server = ca.directory_url();

  Rolling() { renew(one); }

  KeyRollover rollover() { return {accounts, *transport, clock, fetch_directory(*transport, clock, server, never)}; }
  Account account() { return *accounts.load(server); }
  std::string key() { return account().key.thumbprint(); }
  /// By the key on disk.
  bool known_by_the_server() {
    return Session(*transport, clock, server, account().key, "").find_account(never) == account().url;
  }
};

}  // namespace

TEST_CASE("an account gets another key, and orders go on with it") {
  Rolling t;
  const Account before = t.account();
  const Account after = t.rollover().roll_over(before, never);
  CHECK(after.url == before.url);
  CHECK(t.key() == after.key.thumbprint());
  CHECK(t.key() != before.key.thumbprint());
  CHECK(t.known_by_the_server());
  CHECK_FALSE(t.accounts.next_key(t.server));
  CHECK(t.renew(t.one, {.force = true}).issued);
  CHECK(t.ca.accounts_created() == 1);
}

TEST_CASE("where the answer to a change of keys is lost, the next renewal finds that the account has the new one") {
  Rolling t;
  const std::string before = t.key();
  t.ca.lose_next_answer("/key-change");
  CHECK_THROWS_AS(t.rollover().roll_over(t.account(), never), Error);
  CHECK(t.key() == before);
  CHECK_FALSE(t.known_by_the_server());
  CHECK(t.renew(t.one, {.force = true}).issued);
  CHECK(t.key() != before);
  CHECK(t.known_by_the_server());
  CHECK_FALSE(t.accounts.next_key(t.server));
  CHECK(t.ca.accounts_created() == 1);
}

TEST_CASE("where a change of keys never reached the server, the old key stays, and the new one goes") {
  Rolling t;
  const std::string before = t.key();
  const KeyRollover rollover = t.rollover();
  t.ca.go_down();
  CHECK_THROWS_AS(rollover.roll_over(t.account(), never), Error);
  CHECK_THROWS_AS(rollover.settle(t.account(), never), Error);
  CHECK(t.accounts.next_key(t.server));  // nobody knows yet
  t.ca.come_back();
  CHECK(rollover.settle(t.account(), never).key.thumbprint() == before);
  CHECK(t.key() == before);
  CHECK_FALSE(t.accounts.next_key(t.server));
}

TEST_CASE("a crash between the two files of the new key, or after both, is mended by the next renewal") {
  for (const bool account_written : {false, true}) {
    Rolling t;
    t.ca.lose_next_answer("/key-change");
    CHECK_THROWS_AS(t.rollover().roll_over(t.account(), never), Error);
    Account changed = t.account();
    changed.key = *t.accounts.next_key(t.server);
    if (!account_written) changed.url.clear();
    t.accounts.save(t.server, changed);
    CHECK(t.renew(t.one, {.force = true}).issued);
    CHECK(t.known_by_the_server());
    CHECK_FALSE(t.accounts.next_key(t.server));
    CHECK(t.ca.accounts_created() == 1);
  }
}

TEST_CASE("a server that knows neither key gets an account anew, by the key that we have") {
  Rolling t;
  const std::string before = t.key();
  t.accounts.save_next_key(t.server, PrivateKey::generate(KeyType::ec256));
  t.ca.forget_accounts();
  CHECK(t.renew(t.one, {.force = true}).issued);
  CHECK(t.key() == before);
  CHECK(t.renew(t.one, {.force = true}).issued);
  CHECK_FALSE(t.accounts.next_key(t.server));
}

TEST_CASE("terms of service that have changed are shown once a day, and nothing is asked in between") {
  Rolling t;
  const auto change_terms = [&] {
    Response changed;
    changed.status = 403;
    changed.body = R"({"type":"urn:ietf:params:acme:error:userActionRequired","detail":"the terms have changed"})";
    changed.headers.emplace("link", "<https://ca.example/terms/2>;rel=\"terms-of-service\"");
    t.ca.answer_next("/new-order", changed);
  };
  change_terms();
  const Outcome outcome = t.renew(t.one, {.force = true});
  CHECK(outcome.problem.find("see https://ca.example/terms/2") != std::string::npos);
  CHECK(outcome.next == t.clock.now() + std::chrono::hours(24));
  const int orders = t.ca.count("/new-order");
  for (int hour = 0; hour < 23; ++hour) {
    t.clock.advance(std::chrono::hours(1));
    CHECK(t.renew(t.one).exit_code() == 1);
  }
  CHECK(t.ca.count("/new-order") == orders);
  t.clock.advance(std::chrono::hours(1));
  CHECK(t.renew(t.one).exit_code() == 0);  // somebody has agreed to them meanwhile
}
