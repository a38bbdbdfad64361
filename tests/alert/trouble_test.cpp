#include <doctest/doctest.h>

#include <utility>
#include <vector>

#include <acme_agent/alert/trouble.hpp>

#include "reports.hpp"

using namespace acme_agent;
using namespace acme_agent::test;
using namespace std::chrono_literals;

namespace {

/// One who is told, over months that pass in a moment.
struct Listener {
  Lasting lasting;
  Told told;
  std::vector<std::pair<Trouble, TimePoint>> heard;

  void look(const Report& report, TimePoint now) {
    lasting = observe(lasting, report, now);
    const Trouble trouble = trouble_of(report, lasting, now);
    if (!is_news(told, report, trouble, now)) return;
    told = after_telling(told, report, trouble, now);
    heard.emplace_back(trouble, now);
  }
};

}  // namespace

TEST_CASE(
    "a certificate that is never renewed is told of three times: at two thirds of the margin, at three days, at its "
    "end") {
  Listener listener;
  for (TimePoint now = noon; now < noon + a_day * 200; now += 1h) listener.look(failing_at(now), now);
  REQUIRE(listener.heard.size() == 3);
  CHECK(listener.heard[0] == std::pair(Trouble::late, noon + a_day * 80));
  CHECK(listener.heard[1] == std::pair(Trouble::soon, noon + a_day * 87));
  CHECK(listener.heard[2] == std::pair(Trouble::expired, noon + a_day * 90));
}

TEST_CASE("of one that lives for six days the last tenth counts instead of three days") {
  Listener listener;
  for (TimePoint now = noon; now < noon + a_day * 8; now += 6min)
    listener.look(failing_at(now, good("a.example", a_day * 6)), now);
  REQUIRE(listener.heard.size() == 3);
  CHECK(listener.heard[0].second == noon + a_day * 4 + a_day * 4 / 3);
  CHECK(listener.heard[1] == std::pair(Trouble::soon, noon + a_day * 6 - 864min));
}

TEST_CASE("a renewal in time, even with failures before it, is never told of") {
  Listener listener;
  for (TimePoint now = noon; now < noon + a_day * 79; now += 1h) listener.look(failing_at(now), now);
  Report renewed = good();
  renewed.leaf->fingerprint_sha256 = "second";
  listener.look(renewed, noon + a_day * 79);
  CHECK(listener.heard.empty());
}

TEST_CASE("that all is well again is told once, to who has heard of the trouble") {
  Listener listener;
  listener.look(failing_at(noon + a_day * 81), noon + a_day * 81);
  Report renewed = good();
  renewed.leaf = Report::Leaf{{noon + a_day * 82, noon + a_day * 172}, "02", "second", KeyType::rsa2048, "R12", false};
  renewed.renewal = Window{noon + a_day * 142, noon + a_day * 163};
  renewed.next_attempt = noon + a_day * 142;
  for (int hours = 0; hours < 48; ++hours) listener.look(renewed, noon + a_day * 82 + 1h * hours);
  REQUIRE(listener.heard.size() == 2);
  CHECK(listener.heard[1] == std::pair(Trouble::none, noon + a_day * 82));
}

TEST_CASE("a failure count that starts afresh without a new certificate is no recovery") {
  Listener listener;
  listener.look(failing_at(noon + a_day * 81), noon + a_day * 81);
  Report touched = good();
  touched.next_attempt = noon + a_day * 81 + 2h;
  listener.look(touched, noon + a_day * 81 + 1h);
  listener.look(failing_at(noon + a_day * 82), noon + a_day * 82);
  CHECK(listener.heard.size() == 1);
}

TEST_CASE("an agent that was not there when the renewal was due is told of as well, an attempt under way is not") {
  Report unattended = good();
  Listener listener;
  listener.look(unattended, noon + a_day * 80);
  REQUIRE(listener.heard.size() == 1);
  unattended.next_attempt = noon + a_day * 80 - 1min;
  CHECK(trouble_of(unattended, {}, noon + a_day * 80) == Trouble::none);
}

TEST_CASE(
    "a broker that does not serve it is told of after an hour, and at most once a day however often it comes and "
    "goes") {
  Listener listener;
  for (TimePoint now = noon; now < noon + 59min; now += 1min) listener.look(not_served(), now);
  CHECK(listener.heard.empty());
  listener.look(not_served(), noon + 1h);
  REQUIRE(listener.heard.size() == 1);
  CHECK(listener.heard[0].first == Trouble::not_served);

  for (TimePoint now = noon + 2h; now < noon + 21h; now += 3h) {
    listener.look(good(), now);
    listener.look(not_served(), now + 1min);
    listener.look(not_served(), now + 2h);
  }
  CHECK(listener.heard.size() == 2);  // that it was well again
  listener.look(not_served(), noon + a_day + 1h);
  CHECK(listener.heard.size() == 3);
}

TEST_CASE("a broker that starts to serve it within the hour is never told of") {
  Listener listener;
  for (int hours = 0; hours < 100; ++hours) {
    listener.look(not_served(), noon + 1h * hours);
    listener.look(good(), noon + 1h * hours + 59min);
  }
  CHECK(listener.heard.empty());
}

TEST_CASE("one that was never there is told of after a day") {
  Listener listener;
  for (TimePoint now = noon; now < noon + a_day * 30; now += 1h) listener.look(missing(), now);
  REQUIRE(listener.heard.size() == 1);
  CHECK(listener.heard[0] == std::pair(Trouble::missing, noon + a_day));
}

TEST_CASE("a clock that is set back makes nothing last longer") {
  const Lasting before = observe({}, not_served(), noon + a_day * 10);
  CHECK(observe(before, not_served(), noon).not_served == noon);
}

TEST_CASE("many at once are one message with the worst first, and never more than 4 KiB of text") {
  std::vector<Report> reports;
  for (int i = 0; i < 3000; ++i)
    reports.push_back(failing_at(noon + a_day * 81, good("n" + std::to_string(i) + ".example")));
  reports.push_back(failing_at(noon + a_day * 91, good("worst.example")));
  std::vector<News> news;
  for (const Report& report : reports)
    news.push_back({&report, report.state == "expired" ? Trouble::expired : Trouble::late});
  const Alert alert = alert_of(news, "pi", noon + a_day * 91);
  CHECK(alert.title == "acme-agent on pi: 3001 certificates need attention");
  CHECK(alert.worst == Trouble::expired);
  CHECK(alert.text.starts_with("worst.example ended "));
  CHECK(alert.text.ends_with("\nand 2991 more"));
  CHECK(alert.text.size() < 4096);
  CHECK(alert.items.size() == 1000);
}

TEST_CASE("long and hostile errors neither break the lines nor the bound") {
  std::vector<Report> reports(10, failing_at(noon + a_day * 81));
  std::vector<News> news;
  for (Report& report : reports) {
    report.name = std::string(253, 'x');
    report.last_error = std::string(3000, 'e') + "\n\x1b[31m";
    news.push_back({&report, Trouble::late});
  }
  const Alert alert = alert_of(news, "pi", noon + a_day * 81);
  CHECK(alert.text.size() < 4096);
  CHECK(alert.text.find('\x1b') == std::string::npos);
}

TEST_CASE("the title says what has happened to a single certificate") {
  const auto title = [](const Report& report, Trouble trouble) {
    return alert_of({{&report, trouble}}, "pi", noon + a_day * 91).title;
  };
  CHECK(title(failing_at(noon + a_day * 91), Trouble::expired) == "acme-agent on pi: a.example has ended");
  CHECK(title(not_served(), Trouble::not_served) == "acme-agent on pi: a.example is not served");
  CHECK(title(missing(), Trouble::missing) == "acme-agent on pi: a.example has no certificate");
  CHECK(title(good(), Trouble::none) == "acme-agent on pi: a.example is good again");
}

TEST_CASE("what our own authority issued in the place of another server is told of once, and once when that is over") {
  Listener listener;
  Report makeshift = failing_at(noon);
  makeshift.stands_in_for = "letsencrypt";
  makeshift.failures = 1;
  makeshift.last_error = "no route";
  makeshift.urgency = Urgency::failing;
  for (TimePoint now = noon; now < noon + a_day * 3; now += 1h) listener.look(makeshift, now);
  REQUIRE(listener.heard.size() == 1);
  CHECK(listener.heard[0] == std::pair(Trouble::late, noon));
  CHECK(alert_of({{&makeshift, Trouble::late}}, "pi", noon).text ==
        "a.example is of our own authority, which clients need not know, as letsencrypt has not issued one: no route");
  Report real = good();
  real.leaf->fingerprint_sha256 = "second";
  listener.look(real, noon + a_day * 3);
  CHECK(listener.heard.back() == std::pair(Trouble::none, noon + a_day * 3));
}
