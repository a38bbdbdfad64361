#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include <acme_agent/acme/session.hpp>

#include "support/fake_ca.hpp"
#include "support/fake_clock.hpp"

namespace acme_agent {
namespace {

using nlohmann::json;
const std::stop_token never;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Somebody with an account.
struct Owner {
  test::FakeClock clock;
  test::FakeCa ca{clock};
  std::unique_ptr<Transport> transport = ca.connect();
  PrivateKey key = PrivateKey::generate(KeyType::ec256);
  Session session{*transport, clock, ca.directory_url(), key, ""};
  std::string url = session.new_account("me@mydyn.example", never);

  Session with(const PrivateKey& other, const std::string& account_url = "") {
    return {*transport, clock, ca.directory_url(), other, account_url};
  }

  template <class Call>
  Problem problem(const Call& call) {
    try {
      call();
    } catch (const ProblemError& error) {
      return error.problem();
    }
    FAIL("nothing was refused");
    return {};
  }

  AccountInfo read(const std::string& body) {
    Response response;
    response.status = 200;
    response.body = body;
    ca.answer_next("/account/", response);
    return session.account(never);
  }
};

}  // namespace

TEST_CASE("an account is shown as the server has it, and its contact can be changed") {
  Owner t;
  AccountInfo info = t.session.account(never);
  CHECK(info.status == Status::valid);
  CHECK(info.contact == std::vector<std::string>{"mailto:me@mydyn.example"});
  CHECK_FALSE(info.created);
  info = t.session.set_contact("you@mydyn.example", never);
  CHECK(info.contact == std::vector<std::string>{"mailto:you@mydyn.example"});
  CHECK(t.session.account(never).contact == info.contact);
}

TEST_CASE("what a server says of an account is bounded and fit to be shown") {
  Owner t;
  CHECK(t.read(R"({"status":"valid","createdAt":"2026-11-22T10:00:00Z"})").created ==
        std::chrono::sys_days{std::chrono::year{2026} / 11 / 22} + std::chrono::hours(10));
  CHECK(t.read(R"({"status":"valid","contact":[7,"","mailto:\u001b[31m"],"createdAt":"soon"})").contact ==
        std::vector<std::string>{"mailto:\\x1b[31m"});
  json many = {{"status", "valid"}, {"contact", json::array()}};
  for (int i = 0; i < 10'000; ++i) many["contact"].push_back("mailto:a@b.example");
  CHECK(t.read(many.dump()).contact.size() == 100);
  CHECK_THROWS_AS(t.read("{}"), Error);
  CHECK_THROWS_AS(t.read(R"({"status":"happy"})"), Error);
}

TEST_CASE("a key finds its account, and none where it has none") {
  Owner t;
  CHECK(t.with(t.key).find_account(never) == t.url);
  CHECK_FALSE(t.with(PrivateKey::generate(KeyType::ec256)).find_account(never));
  CHECK(t.ca.accounts_created() == 1);
}

TEST_CASE("after a change of keys the new one signs, and the old one is nobody's") {
  for (const KeyType type : {KeyType::ec256, KeyType::ec384, KeyType::rsa2048}) {
    Owner t;
    const PrivateKey fresh = PrivateKey::generate(type);
    t.session.change_key(fresh, never);
    CHECK(t.session.account(never).status == Status::valid);
    CHECK(t.with(fresh).find_account(never) == t.url);
    CHECK_FALSE(t.with(t.key).find_account(never));
  }
}

TEST_CASE("a key that another account has is refused, and the old one stays") {
  Owner t;
  const PrivateKey theirs = PrivateKey::generate(KeyType::ec256);
  t.with(theirs).new_account("", never);
  CHECK(t.problem([&] { t.session.change_key(theirs, never); }).status == 409);
  CHECK(t.session.account(never).status == Status::valid);
}

TEST_CASE("an account that is deactivated is none any more") {
  Owner t;
  t.session.deactivate(never);
  CHECK(t.problem([&] { t.session.account(never); }).type == "unauthorized");
}

TEST_CASE("a server that changes no keys is named as such") {
  Owner t;
  t.ca.answer_next("/directory",
                   Response{.status = 200, .headers = {}, .body = R"({"newNonce":"https://ca.example/new-nonce",
    "newAccount":"https://ca.example/new-account","newOrder":"https://ca.example/new-order","keyChange":"ftp://x"})"});
  Session session = t.with(t.key, t.url);
  try {
    session.change_key(PrivateKey::generate(KeyType::ec256), never);
    FAIL("nothing was refused");
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::ask_operator);
    CHECK(contains(error.message(), "the server at ca.example offers no way of changing an account's key"));
  }
}

}  // namespace acme_agent
