#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include <acme_agent/alert/alarm.hpp>

#include "reports.hpp"
#include "support/fake_clock.hpp"
#include "support/quiet_log.hpp"
#include "support/recording_processes.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace acme_agent::test;
using namespace std::chrono_literals;

namespace {

struct Heard {
  std::vector<Alert> alerts;
  int tries = 0;
  bool deaf = false;
};

class RecordingChannel final : public Channel {
 public:
  RecordingChannel(Heard& heard, std::string id) : heard_(heard), id_(std::move(id)) {}
  std::string describe() const override { return id_; }
  std::string id() const override { return id_; }
  void tell(const Alert& alert, const std::stop_token&) override {
    ++heard_.tries;
    if (heard_.deaf) throw Error(Remedy::retry, "nobody there");
    heard_.alerts.push_back(alert);
  }

 private:
  Heard& heard_;
  const std::string id_;
};

struct Setting {
  TempDir folder;
  FakeClock clock{noon};
  QuietLog log{clock};
  Heard first, second;
  std::unique_ptr<Alarm> alarm;

  Setting() { start(); }
  void start() {
    std::vector<std::unique_ptr<Channel>> channels;
    channels.push_back(std::make_unique<RecordingChannel>(first, "first"));
    channels.push_back(std::make_unique<RecordingChannel>(second, "second"));
    alarm = std::make_unique<Alarm>(std::move(channels), folder / "alerts.json", "pi", clock, log);
  }
  void look(std::vector<Report> reports) { alarm->look({"1", clock.now(), std::move(reports)}, {}); }
};

Report expired(const std::string& name) {
  return failing_at(noon + a_day * 91, good(name));
}

}  // namespace

TEST_CASE("every channel hears of a trouble once, also over restarts") {
  Setting t;
  for (int i = 0; i < 5; ++i) {
    t.look({expired("a.example")});
    t.clock.advance(15min);
    t.start();
  }
  CHECK(t.first.alerts.size() == 1);
  CHECK(t.second.alerts.size() == 1);
  t.look({good("a.example"), good("b.example")});
  REQUIRE(t.first.alerts.size() == 1);  // the same certificate cannot be well again
  Report renewed = good("a.example");
  renewed.leaf->fingerprint_sha256 = "second";
  t.look({renewed});
  REQUIRE(t.first.alerts.size() == 2);
  CHECK(t.first.alerts[1].worst == Trouble::none);
  CHECK(t.first.alerts[1].title == "acme-agent on pi: a.example is good again");
}

TEST_CASE("many certificates are one message") {
  Setting t;
  std::vector<Report> reports;
  for (int i = 0; i < 500; ++i) reports.push_back(expired("n" + std::to_string(i) + ".example"));
  t.look(reports);
  REQUIRE(t.first.alerts.size() == 1);
  CHECK(t.first.alerts[0].items.size() == 500);
}

TEST_CASE(
    "who cannot be told is tried again after 1, 10 and 60 minutes, then every six hours, and the others are told") {
  Setting t;
  t.first.deaf = true;
  for (auto passed = 0min; passed < 24h; passed += 1min) {
    t.look({expired("a.example")});
    t.clock.advance(1min);
  }
  CHECK(t.first.tries == 4 + 3);  // at 0, 1, 11 and 71 minutes, then three times within the day
  CHECK(t.second.alerts.size() == 1);
  REQUIRE(t.alarm->try_again_at());
  t.first.deaf = false;
  t.clock.advance(6h);
  t.look({expired("a.example")});
  CHECK(t.first.alerts.size() == 1);
  CHECK_FALSE(t.alarm->try_again_at());
}

TEST_CASE("what has passed before it could be told is not told") {
  Setting t;
  t.first.deaf = true;
  t.look({expired("a.example")});
  t.first.deaf = false;
  t.clock.advance(1h);
  Report renewed = good("a.example");
  renewed.leaf->fingerprint_sha256 = "second";
  t.look({renewed});
  CHECK(t.first.alerts.empty());
}

TEST_CASE("what was not told because of a crash is told after it") {
  Setting t;
  t.first.deaf = true;
  t.look({expired("a.example")});
  t.first.deaf = false;
  t.start();
  t.look({expired("a.example")});
  CHECK(t.first.alerts.size() == 1);
}

TEST_CASE("how long something lasts is known after a restart") {
  Setting t;
  t.look({not_served()});
  t.clock.advance(61min);
  t.start();
  t.look({not_served()});
  REQUIRE(t.first.alerts.size() == 1);
  CHECK(t.first.alerts[0].worst == Trouble::not_served);
}

TEST_CASE("where all is well nothing is said, and the file is written once") {
  Setting t;
  t.look({good()});
  const auto written = std::filesystem::last_write_time(t.folder / "alerts.json");
  t.look({good()});
  CHECK(t.first.tries == 0);
  CHECK(std::filesystem::last_write_time(t.folder / "alerts.json") == written);
}

TEST_CASE("a damaged file is kept beside, one of a newer version refused") {
  Setting t;
  for (const char* rubbish :
       {"", "{", "[]", "{\"version\":1}", "{\"version\":1,\"lasting\":{},\"told\":{\"first\":[1]}}"}) {
    std::ofstream(t.folder / "alerts.json") << rubbish;
    CHECK_NOTHROW(t.start());
    CHECK(std::filesystem::exists(t.folder / "alerts.json.damaged"));
    std::filesystem::remove(t.folder / "alerts.json.damaged");
  }
  std::ofstream(t.folder / "alerts.json") << "{\"version\":2}";
  CHECK_THROWS_AS(t.start(), Error);
  CHECK(std::filesystem::exists(t.folder / "alerts.json"));
}

namespace {

struct Sent {
  std::vector<Request> requests;
  int status = 200;
};

class FakeTransport final : public Transport {
 public:
  explicit FakeTransport(Sent& sent) : sent_(sent) {}
  Response send(const Request& request, const std::stop_token&) override {
    sent_.requests.push_back(request);
    return {sent_.status, {}, ""};
  }

 private:
  Sent& sent_;
};

Alert an_alert() {
  static const Report report = expired("a.example");
  return alert_of({{&report, Trouble::expired}}, "pi", noon + a_day * 91);
}

}  // namespace

TEST_CASE("a program gets the alert in its environment, and fails where it does not end with 0") {
  RecordingProcesses processes;
  const auto channel = tell_command({"/usr/local/bin/tell", "a b"}, processes);
  channel->tell(an_alert(), {});
  REQUIRE(processes.runs.size() == 1);
  CHECK(processes.runs[0].argv == std::vector<std::string>{"/usr/local/bin/tell", "a b"});
  const std::vector<std::string>& environment = processes.runs[0].environment;
  CHECK(environment[0] == "ACME_AGENT_ALERT_TITLE=acme-agent on pi: a.example has ended");
  CHECK(environment[2] == "ACME_AGENT_ALERT_TROUBLE=expired");
  CHECK(environment[3] == "ACME_AGENT_ALERT_CERTIFICATES=a.example");
  processes.on_run = [](const auto&) { return CommandResult{.exit_code = 3, .output = "no line\n"}; };
  CHECK_THROWS_WITH(channel->tell(an_alert(), {}), "command:/usr/local/bin/tell ended with 3 and said: no line");
}

TEST_CASE("a webhook gets JSON, and its secrets are in no message") {
  Sent sent;
  const std::string url = "https://me:secret@hook.example/token?key=secret";
  const auto channel = tell_url(url, [&] { return std::make_unique<FakeTransport>(sent); });
  channel->tell(an_alert(), {});
  REQUIRE(sent.requests.size() == 1);
  CHECK(sent.requests[0].url == url);
  CHECK(sent.requests[0].content_type == "application/json");
  const nlohmann::json body = nlohmann::json::parse(sent.requests[0].body);
  CHECK(body["trouble"] == "expired");
  CHECK(body["certificates"][0]["name"] == "a.example");
  CHECK(channel->describe() == "url:https://hook.example");
  CHECK(channel->id().find("secret") == std::string::npos);
  sent.status = 403;
  CHECK_THROWS_WITH(channel->tell(an_alert(), {}),
                    "https://hook.example answered with status 403: see whether path, user and password of the URL are "
                    "right");
}

TEST_CASE("ntfy gets topic, title, message, priority and tags at the root of its server") {
  Sent sent;
  const auto published_by = [&](const std::string& url, const Alert& alert) {
    tell_ntfy(url, [&] { return std::make_unique<FakeTransport>(sent); })->tell(alert, {});
    return nlohmann::json::parse(sent.requests.back().body);
  };
  const nlohmann::json body = published_by("https://ntfy.example/sub/my-topic?auth=x", an_alert());
  CHECK(sent.requests.back().url == "https://ntfy.example/sub/?auth=x");
  CHECK(body["topic"] == "my-topic");
  CHECK(body["title"] == "acme-agent on pi: a.example has ended");
  CHECK(body["message"].get<std::string>().starts_with("a.example ended"));
  CHECK(body["priority"] == 5);
  CHECK(body["tags"] == nlohmann::json::array({"rotating_light"}));
  Alert recovery = an_alert();
  recovery.worst = Trouble::none;
  CHECK(published_by("https://ntfy.example/my-topic", recovery)["priority"] == 3);
  CHECK(sent.requests.back().url == "https://ntfy.example/");
}
