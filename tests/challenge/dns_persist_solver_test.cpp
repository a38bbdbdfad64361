#include <doctest/doctest.h>

#include <acme_agent/challenge/dns_persist_solver.hpp>

#include "support/fake_clock.hpp"
#include "support/fake_name_server.hpp"

namespace acme_agent {
namespace {

using test::Asked;
using test::FakeNameServer;

constexpr const char* account = "https://ca.example/acct/1";
const std::string line =
    R"(_validation-persist.mydyn.example. IN TXT "ca.example; accounturi=https://ca.example/acct/1)";

/// What comes of it when the zone has these texts; empty if the answer stands.
std::string outcome(const std::vector<std::string>& texts, const std::string& name = "mydyn.example") {
  const FakeNameServer server([&](const Asked& asked) {
    std::vector<std::string> records;
    for (const std::string& text : texts)
      records.push_back(test::wire_record("_validation-persist.mydyn.example", RecordType::txt, test::wire_text(text)));
    CHECK(asked.is_for("_validation-persist.mydyn.example", RecordType::txt));
    return std::vector{test::wire_response(asked, records.empty() ? dns_no_such_name : dns_no_error, records)};
  });
  const test::FakeClock clock;
  DnsPersistSolver solver([&] { return Resolver({server.endpoint()}); }, clock);
  ChallengeAnswer answer{parse_identifier(name), "", ""};
  answer.issuers = {"ca.example", "ca.test"};
  answer.account_url = account;
  try {
    solver.present(answer, {});
    return "";
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::retry);
    return error.message();
  }
}

std::string record(const std::string& more = "") {
  return std::string("ca.example; accounturi=") + account + more;
}

TEST_CASE("a record that stands is all that it takes, however it is written") {
  CHECK(outcome({record()}).empty());
  CHECK(outcome({"other text", "other.example; accounturi=x", record("; future=1")}).empty());
  CHECK(outcome({std::string("  CA.test ;AccountURI = ") + account + " "}).empty());
  CHECK(outcome({record("; policy=wildcard")}, "*.mydyn.example").empty());
  CHECK(outcome({record("; persistUntil=99999999999999")}).empty());
}

TEST_CASE("a record that is missing is told as the line that the zone has to have") {
  CHECK(outcome({}) ==
        "dns-persist-01 for mydyn.example waits for you (there is no record for this server yet): put "
        "this line into the zone and leave it there: " +
            line + "\"");
  CHECK(outcome({"other.example; accounturi=x"}).find("no record for this server yet") != std::string::npos);
  const std::string wildcard = outcome({}, "*.mydyn.example");
  CHECK(wildcard.find(line + "; policy=wildcard\"") != std::string::npos);
}

TEST_CASE("a record that does not do is told with why") {
  CHECK(outcome({"ca.example; accounturi=https://ca.example/acct/2"}).find("names another account") !=
        std::string::npos);
  CHECK(outcome({"ca.example"}).find("names another account") != std::string::npos);
  CHECK(outcome({record()}, "*.mydyn.example").find("is not for wildcards") != std::string::npos);
  CHECK(outcome({record("; persistUntil=1700000000")}).find("has come to its persistUntil") != std::string::npos);
  CHECK(outcome({record("; persistUntil=soon")}).find("has come to its persistUntil") != std::string::npos);
}

TEST_CASE("what cannot be looked up is left to the server to see") {
  const FakeNameServer broken(
      [](const Asked& asked) { return std::vector{test::wire_response(asked, dns_server_failure, {})}; });
  const test::FakeClock clock;
  DnsPersistSolver solver([&] { return Resolver({broken.endpoint()}); }, clock);
  ChallengeAnswer answer{parse_identifier("mydyn.example"), "", ""};
  answer.issuers = {"ca.example"};
  CHECK_NOTHROW(solver.present(answer, {}));
}

}  // namespace
}  // namespace acme_agent
