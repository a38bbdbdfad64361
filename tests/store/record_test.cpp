#include <doctest/doctest.h>
#include <sys/stat.h>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/store/state.hpp>

#include "store/disk.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace acme_agent::test;

namespace {

namespace fs = std::filesystem;

struct RecordOnDisk {
  TempDir dir;
  CertificateState state{dir / "mydyn.example"};
  fs::path file = dir / "mydyn.example" / "record.json";
};

Record full_record() {
  Record record;
  record.inputs = "mydyn.example rsa2048 letsencrypt";
  record.next_attempt = parse_rfc3339("2026-11-22T10:00:00Z");
  record.reason = Reason::retry;
  record.last_attempt = parse_rfc3339("2026-11-22T09:00:00Z");
  record.last_error = "the server said \"no\"\n";
  record.failures = 3;
  record.interrupted = 1;
  record.servers["https://ca.example/dir"] = {2, parse_rfc3339("2026-11-22T09:20:00Z"),
                                              parse_rfc3339("2026-11-22T09:30:00Z"),
                                              parse_rfc3339("2026-11-22T09:40:00Z")};
  record.held = HeldFacts{"7:1.2",
                          "rsa2048 mydyn.example",
                          "thumbprint",
                          "https://ca.example/dir",
                          {*parse_rfc3339("2026-09-22T00:00:00Z"), *parse_rfc3339("2026-12-22T00:00:00Z")},
                          "cd34",
                          "aYhba4.AIdl"};
  record.advice = {"aYhba4.AIdl",
                   Window{*parse_rfc3339("2026-11-20T00:00:00Z"), *parse_rfc3339("2026-11-21T00:00:00Z")},
                   "https://ca.example/why",
                   parse_rfc3339("2026-11-22T15:00:00Z"),
                   1,
                   parse_rfc3339("2026-11-19T00:00:00Z")};
  record.deploy.ok = true;
  record.deploy.next_attempt = parse_rfc3339("2027-01-01T00:00:00Z");
  record.deploy.last_error = "nobody listens";
  record.deploy.failures = 1;
  record.deploy.last_look = parse_rfc3339("2026-11-22T08:00:00Z");
  record.deploy.last_told = parse_rfc3339("2026-11-22T07:30:00Z");
  record.deploy.rejected = "ab12";
  record.deploy.stamp = "8:1.2 0:0:416";
  record.cert_dir = "/srv/certs";
  record.further_dirs = {"/srv/java", "/srv/nats"};
  record.served.push_back(
      {"localhost:8883", "127.0.0.1", true, *parse_rfc3339("2026-11-22T07:00:00Z"), "as it should be"});
  record.served.push_back({"localhost:8883", "::1", false, *parse_rfc3339("2026-11-22T07:00:01Z"), ""});
  return record;
}

/// The whole file is the comparison: every field is in it.
std::string stored(const Record& record) {
  RecordOnDisk t;
  t.state.save_record(record);
  return content_of(t.file);
}

bool is_fresh(const Record& record) {
  return stored(record) == stored(Record{});
}

}  // namespace

TEST_CASE("a record comes back as it was saved") {
  RecordOnDisk t;
  t.state.save_record(full_record());
  const auto [record, damaged] = t.state.load_record();
  CHECK(damaged.empty());
  CHECK(record.inputs == "mydyn.example rsa2048 letsencrypt");
  CHECK(record.next_attempt == parse_rfc3339("2026-11-22T10:00:00Z"));
  CHECK(record.reason == Reason::retry);
  CHECK(record.last_attempt == parse_rfc3339("2026-11-22T09:00:00Z"));
  CHECK(record.last_error == "the server said \"no\"\n");
  CHECK(record.failures == 3);
  CHECK(record.interrupted == 1);
  CHECK(record.servers == full_record().servers);
  CHECK(record.held == full_record().held);
  CHECK(record.advice == full_record().advice);
  CHECK(record.deploy.ok);
  CHECK(record.deploy.next_attempt == parse_rfc3339("2027-01-01T00:00:00Z"));
  CHECK(record.deploy.last_error == "nobody listens");
  CHECK(record.deploy.failures == 1);
  CHECK(record.deploy == full_record().deploy);
  CHECK(record.deploy.last_look == parse_rfc3339("2026-11-22T08:00:00Z"));
  REQUIRE(record.served.size() == 2);
  CHECK(record.served[0].endpoint == "localhost:8883");
  CHECK(record.served[0].address == "127.0.0.1");
  CHECK(record.served[0].ok);
  CHECK(record.served[0].checked == parse_rfc3339("2026-11-22T07:00:00Z"));
  CHECK(record.served[0].detail == "as it should be");
  CHECK(record.served[1].address == "::1");
  CHECK_FALSE(record.served[1].ok);
  CHECK(stored(record) == content_of(t.file));
}

TEST_CASE("every reason has a word that survives") {
  for (const Reason reason :
       {Reason::ari, Reason::lifetime, Reason::missing, Reason::changed, Reason::retry, Reason::forced}) {
    RecordOnDisk t;
    Record record;
    record.reason = reason;
    t.state.save_record(record);
    CHECK(t.state.load_record().record.reason == reason);
    CHECK(contains(content_of(t.file), '"' + std::string(to_string(reason)) + '"'));
  }
}

TEST_CASE("a record has the names of status --json and a version") {
  const std::string text = stored(full_record());
  CHECK(contains(text, "\"version\": 1"));
  CHECK(contains(text, "\"next_attempt\": \"2026-11-22T10:00:00Z\""));
  CHECK(contains(text, "\"reason\": \"retry\""));
  CHECK(contains(text, "\"last_attempt\": \"2026-11-22T09:00:00Z\""));
  CHECK(contains(text, "\"failures\": 3"));
  CHECK(contains(text, "\"endpoint\": \"localhost:8883\""));
  CHECK(contains(stored(Record{}), "\"last_error\": null"));
}

TEST_CASE("a record that never was is an empty one, and no damage") {
  RecordOnDisk t;
  const auto [record, damaged] = t.state.load_record();
  CHECK(damaged.empty());
  CHECK(is_fresh(record));
  CHECK_FALSE(fs::exists(t.state.folder()));
}

TEST_CASE("a record is for nobody else, whatever the umask is") {
  for (const mode_t mask : {mode_t{0}, mode_t{0777}}) {
    RecordOnDisk t;
    const Umask umask(mask);
    t.state.save_record(Record{});
    CHECK(mode_of(t.state.folder()) == 0700);
    CHECK(mode_of(t.file) == 0600);
  }
}

TEST_CASE("fields that are missing, null or unknown do no harm") {
  RecordOnDisk t;
  for (const std::string content :
       {R"({})", R"({"version": 1})", R"({"version": null, "failures": null, "deploy": null, "served": null})",
        R"({"version": 1, "weather": ["fine"], "reason": "whim", "deploy": {"mood": 1}})"}) {
    put(t.file, content);
    const auto [record, damaged] = t.state.load_record();
    CHECK(damaged.empty());
    CHECK(is_fresh(record));
  }
  put(t.file, R"({"served": [{"endpoint": "localhost:8883"}], "deploy": {"failures": 2}})");
  const Record record = t.state.load_record().record;
  REQUIRE(record.served.size() == 1);
  CHECK(record.served[0].endpoint == "localhost:8883");
  CHECK(record.deploy.failures == 2);
}

TEST_CASE("a damaged record starts afresh, says so, and is kept aside") {
  std::vector<std::string> contents = rubbish();
  for (const char* field :
       {R"("failures": -1)", R"("failures": "3")", R"("failures": 1e3)", R"("failures": 99999999999)",
        R"("next_attempt": 5)", R"("next_attempt": "tomorrow")", R"("last_attempt": "2026-13-01T00:00:00Z")",
        R"("inputs": [])", R"("reason": 1)", R"("last_error": {})", R"("servers": true)", R"("held": {})",
        R"("renewal_info": [])", R"("deploy": [])", R"("deploy": {"ok": 1})", R"("served": {})", R"("served": [1])",
        R"("served": [{"checked": 1}])"}) {
    contents.push_back("{" + std::string(field) + "}");
  }
  for (const std::string& content : contents) {
    CAPTURE(content.substr(0, 60));
    RecordOnDisk t;
    put(t.file, content);
    const auto [record, damaged] = t.state.load_record();
    CHECK(is_fresh(record));
    CHECK(damaged.starts_with(t.file.string() + " is damaged ("));
    CHECK(damaged.ends_with("kept as record.json.damaged"));
    CHECK_FALSE(fs::exists(t.file));
    CHECK((content_of(t.file.string() + ".damaged") == content));
    CHECK(t.state.load_record().damaged.empty());
  }
}

TEST_CASE("peeking at a damaged record finds an empty one and leaves it where it is") {
  RecordOnDisk t;
  put(t.file, "{");
  CHECK(t.state.peek_record().failures == 0);
  CHECK((content_of(t.file) == "{"));
}

TEST_CASE("the sentence about a damaged record says what is wrong") {
  RecordOnDisk t;
  put(t.file, R"({"failures": "three"})");
  CHECK(contains(t.state.load_record().damaged, "\"failures\" is not a count"));
}

TEST_CASE("every truncation of a record is damage, and none of them is taken for a record") {
  RecordOnDisk t;
  t.state.save_record(full_record());
  const std::string whole = content_of(t.file);
  for (std::size_t length = 0; length + 1 < whole.size(); length += 7) {
    put(t.file, whole.substr(0, length));
    CHECK_FALSE(t.state.load_record().damaged.empty());
  }
}

TEST_CASE("a damaged record that cannot be kept aside starts afresh all the same") {
  RecordOnDisk t;
  put(t.file, "rubbish");
  put(fs::path(t.file.string() + ".damaged") / "in the way", "");
  const auto [record, damaged] = t.state.load_record();
  CHECK(is_fresh(record));
  CHECK(contains(damaged, "could not be kept aside"));
  t.state.save_record(full_record());
  CHECK(t.state.load_record().damaged.empty());
}

TEST_CASE("a record of a newer version is left to the operator, where it is") {
  RecordOnDisk t;
  put(t.file, R"({"version": 2, "failures": "many"})");
  CHECK(complaint_of([&] { t.state.load_record(); }) ==
        t.file.string() + " was written by a newer acme-agent (version 2): upgrade this one, or move the file away");
  CHECK(content_of(t.file) == R"({"version": 2, "failures": "many"})");
}

TEST_CASE("an error text in broken UTF-8 keeps nothing else from being recorded") {
  RecordOnDisk t;
  Record record = full_record();
  record.last_error = "caf\xe9";
  t.state.save_record(record);
  const auto [loaded, damaged] = t.state.load_record();
  CHECK(damaged.empty());
  CHECK(loaded.last_error == "caf\xef\xbf\xbd");
  CHECK(loaded.failures == 3);
}

TEST_CASE("saving a record on a full disk leaves the old one") {
  RecordOnDisk t;
  t.state.save_record(full_record());
  const std::string before = content_of(t.file);
  {
    const FullDisk full(50);
    CHECK_THROWS_AS(t.state.save_record(Record{}), Error);
  }
  CHECK(content_of(t.file) == before);
}
