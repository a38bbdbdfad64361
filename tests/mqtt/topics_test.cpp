#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include <acme_agent/mqtt/topics.hpp>

using namespace acme_agent;

namespace {

constexpr TimePoint noon = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22} + std::chrono::hours(12);
constexpr std::chrono::hours a_day{24};

Report good(const std::string& name) {
  Report report;
  report.name = name;
  report.state = "valid";
  report.held = report.deployed = true;
  report.leaf = Report::Leaf{{noon - a_day * 30, noon + a_day * 60}, "01", "first", KeyType::rsa2048, "R12", false};
  report.renewal = Window{noon + a_day * 30, noon + a_day * 51};
  report.last_attempt = noon - a_day * 30;
  report.next_attempt = noon + a_day * 30;
  report.urgency = Urgency::good;
  return report;
}

std::vector<std::string> kinds_of(const std::vector<Happening>& happenings) {
  std::vector<std::string> kinds;
  for (const Happening& one : happenings) kinds.push_back(nlohmann::json::parse(one.payload)["event"]);
  return kinds;
}

using Kinds = std::vector<std::string>;

}  // namespace

TEST_CASE("a machine's name becomes one level of a topic, whatever stands in it") {
  CHECK(instance_of("pi-4_b") == "pi-4_b");
  CHECK(instance_of("pi.home/+#\xff") == "pi_home____");
  CHECK(instance_of("") == "agent");
  CHECK(instance_of(std::string(300, 'x')).size() == 64);
}

TEST_CASE("each certificate has its state and its discovery, and names that look alike have different ids") {
  const Retained retained = retained_of({"1", noon, {good("a.example"), good("a_example")}}, "pi");
  CHECK(retained.size() == 4);
  const nlohmann::json state = nlohmann::json::parse(retained.at("acme-agent/pi/cert/a.example/state"));
  CHECK(state["days_left"] == 60);
  CHECK(state["renew_window"]["start"] == "2026-12-22T12:00:00Z");
  CHECK(state["last_result"] == "ok");
  CHECK(state["problem"] == false);
}

TEST_CASE("a certificate that is missing has null where there is nothing to say") {
  Report report;
  report.name = "a.example";
  report.state = "missing";
  report.failures = 1;
  report.last_error = "no such name\x1b[31m";
  const Retained retained = retained_of({"1", noon, {report}}, "pi");
  const nlohmann::json state = nlohmann::json::parse(retained.at("acme-agent/pi/cert/a.example/state"));
  CHECK(state["not_after"].is_null());
  CHECK(state["days_left"].is_null());
  CHECK(state["problem"] == true);
  CHECK(state["last_error"].get<std::string>().find('\x1b') == std::string::npos);
}

TEST_CASE("the days that are left change the state once a day, and nothing else does") {
  const auto state_at = [](TimePoint now) {
    return retained_of({"1", now, {good("a.example")}}, "pi").at("acme-agent/pi/cert/a.example/state");
  };
  CHECK(state_at(noon + std::chrono::minutes(1)) == state_at(noon + a_day));
  CHECK(state_at(noon + std::chrono::minutes(1)) != state_at(noon + a_day + std::chrono::minutes(1)));
}

TEST_CASE("what happens is told once, and nothing at the first look") {
  Happenings happenings("pi");
  Report report = good("a.example");
  const auto look = [&] { return kinds_of(happenings.since_last({"1", noon, {report}})); };
  CHECK(look().empty());
  CHECK(look().empty());
  report.failures = 1;
  report.urgency = Urgency::failing;
  CHECK(look() == Kinds{"failed", "failing"});
  CHECK(look().empty());
  report.failures = 2;
  CHECK(look() == Kinds{"failed"});
  report = good("a.example");
  report.leaf->fingerprint_sha256 = "second";
  CHECK(look() == Kinds{"renewed", "good"});
  report.urgency = Urgency::not_served;
  report.deployment_error = "localhost:8883 shows another";
  const std::vector<Happening> last = happenings.since_last({"1", noon, {report}});
  REQUIRE(last.size() == 1);
  CHECK(last[0].topic == "acme-agent/pi/cert/a.example/event");
  CHECK(nlohmann::json::parse(last[0].payload)["detail"] == "localhost:8883 shows another");
}
