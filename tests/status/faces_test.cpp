#include <doctest/doctest.h>

#include <acme_agent/status/faces.hpp>

#include "reporting.hpp"

using namespace acme_agent;
using namespace acme_agent::test;

namespace {

Report good(const std::string& name) {
  Report report;
  report.name = name;
  report.domains = {name};
  report.server = "letsencrypt";
  report.state = "valid";
  report.held = report.deployed = true;
  report.leaf = Report::Leaf{{noon - a_day * 30, noon + a_day * 60}, "04ab", "5f2c", KeyType::rsa2048, "R12", false};
  report.renewal = Window{noon + a_day * 30, noon + a_day * 51};
  report.last_attempt = noon - a_day * 30;
  report.next_attempt = noon + a_day * 30;
  report.served = {{"localhost:8883", "127.0.0.1", true, noon, ""}};
  report.urgency = Urgency::good;
  return report;
}

Report failing(const std::string& name, const std::string& why) {
  Report report = good(name);
  report.failures = 2;
  report.last_error = why;
  report.urgency = Urgency::failing;
  return report;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("a certificate that stands in for another server's is told in every face") {
  Report report = good("a.example");
  report.server = "local";
  report.stands_in_for = "letsencrypt";
  const Reports reports{"1", noon, {report}};
  CHECK(contains(as_text(reports), "server   local, STANDING IN for letsencrypt: clients refuse it unless"));
  CHECK(contains(as_json(reports), R"("stands_in_for": "letsencrypt")"));
  CHECK(contains(as_page(reports), "local, standing in for letsencrypt"));
}

TEST_CASE("a health check hears ok, or how many are not good and the most urgent of them") {
  CHECK(as_health({"1", noon, {}}) == "ok\n");
  CHECK(as_health({"1", noon, {good("a.example")}}) == "ok\n");
  CHECK(as_health({"1", noon, {failing("b.example", ""), good("a.example")}}) ==
        "1 of 2 not good: b.example is failing\n");
}

TEST_CASE("metrics have a sample for each certificate and listener, in seconds and shares of nothing") {
  Report report = failing("b.example", "port 80 is taken");
  report.served.push_back({"localhost:8883", "::1", false, noon, "it shows another"});
  const std::string text = as_metrics({"1.2.3", noon, {report, good("a.example")}});
  for (const char* line : {
           "acme_agent_build_info{version=\"1.2.3\"} 1\n",
           "# TYPE acme_agent_certificate_expiry_timestamp_seconds gauge\n",
           "acme_agent_certificate_expiry_timestamp_seconds{certificate=\"a.example\"} 1800532800\n",
           "acme_agent_certificate_next_attempt_timestamp_seconds{certificate=\"a.example\"} 1797940800\n",
           "acme_agent_certificate_good{certificate=\"a.example\"} 1\n",
           "acme_agent_certificate_good{certificate=\"b.example\"} 0\n",
           "acme_agent_certificate_last_attempt_success{certificate=\"b.example\"} 0\n",
           "acme_agent_certificate_failures{certificate=\"b.example\"} 2\n",
           "acme_agent_listener_serves_certificate{certificate=\"b.example\",listener=\"localhost:8883\",address="
           "\"::1\"} 0\n",
       })
    CHECK_MESSAGE(contains(text, line), text);
  CHECK_FALSE(contains(text, "left"));  // how many days are left follows from the expiry
}

TEST_CASE("a listener that is in the record twice is one sample, as two would spoil the whole scrape") {
  Report report = good("a.example");
  report.served.push_back(report.served.front());
  CHECK(count(as_metrics({"1", noon, {report}}), "\nacme_agent_listener_serves_certificate{") == 1);
}

TEST_CASE("a certificate that is missing has no dates in the metrics, and is not good") {
  Report report;
  report.name = "a.example";
  report.state = "missing";
  const std::string text = as_metrics({"1", noon, {report}});
  CHECK_FALSE(contains(text, "expiry"));
  CHECK(contains(text, "acme_agent_certificate_good{certificate=\"a.example\"} 0\n"));
}

TEST_CASE("the page says first how all stands, and each state as a word") {
  CHECK(contains(as_page({"1", noon, {}}), "<h1>No certificates yet</h1>"));
  CHECK(contains(as_page({"1", noon, {good("a.example")}}), "<h1>The certificate is good</h1>"));
  const std::string page = as_page({"1", noon, {failing("b.example", "port 80 is taken"), good("a.example")}});
  CHECK(contains(page, "<h1>1 of 2 certificates needs attention</h1>"));
  CHECK(contains(page, "<span class=\"state\">failing</span>"));
  CHECK(contains(page, "<span class=\"state\">good</span>"));
  CHECK(contains(page, "port 80 is taken (failed 2 times in a row)"));
  CHECK(page.find("b.example") < page.find("a.example"));
  CHECK(contains(page, "Valid for 60 days. Renewed in 30 days."));
}

TEST_CASE("the time line has lifetime, what is over of it, renewal window and now in their places") {
  const std::string page = as_page({"1", noon, {good("a.example")}});
  CHECK(contains(page, "<rect class=\"track\" x=\"0.00%\" y=\"8\" width=\"100.00%\""));
  CHECK(contains(page, "<rect class=\"lived\" x=\"0.00%\" y=\"8\" width=\"33.33%\""));
  CHECK(contains(page, "<rect class=\"window\" x=\"66.67%\" y=\"8\" width=\"23.33%\""));
  CHECK(contains(page, "<svg class=\"at\" x=\"33.33%\""));
  CHECK(contains(page, "aria-label=\"Lifetime from 2026-10-23T12:00:00Z to 2027-01-21T12:00:00Z"));
}

TEST_CASE("of an ended certificate the line goes on to now") {
  Report report = good("a.example");
  report.state = "expired";
  report.urgency = Urgency::expired;
  report.leaf->validity = {noon - a_day * 100, noon - a_day * 10};
  const std::string page = as_page({"1", noon, {report}});
  CHECK(contains(page, "<rect class=\"lived\" x=\"0.00%\" y=\"8\" width=\"90.00%\""));
  CHECK(contains(page, "<svg class=\"at\" x=\"100.00%\""));
  CHECK(contains(page, "Ended 10 days ago"));
}

TEST_CASE("whatever comes from elsewhere stays text on the page") {
  const std::string evil = "<script>alert('1')</script>\"&\x1b[31m\xff";
  Report report = failing("a.example", evil);
  report.name = report.server = report.deployment_error = report.leaf->issuer = evil;
  report.deployed = false;
  report.folder = evil;
  report.domains = {evil};
  report.served = {{evil, evil, false, noon, evil}};
  report.servers = {{evil, {.step = 1, .next_attempt = {}, .not_before = noon, .turn = noon}}};
  report.advice = Report::Advice{std::nullopt, "javascript:alert(1)", noon};
  const std::string page = as_page({evil, noon, {report}});
  CHECK_FALSE(contains(page, "<script"));
  CHECK_FALSE(contains(page, "javascript:"));
  CHECK_FALSE(contains(page, "\x1b"));
  CHECK(contains(page, "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;"));
  report.advice->explanation_url = "https://ca.example/\"onclick=\"x";
  CHECK(contains(as_page({"1", noon, {report}}), "href=\"https://ca.example/&quot;onclick=&quot;x\""));
}

TEST_CASE("of thousands the page shows the first few hundred and says so") {
  Reports reports{"1", noon, {}};
  for (int i = 0; i < 10000; ++i) reports.certificates.push_back(good("n" + std::to_string(i) + ".example"));
  const std::string page = as_page(reports);
  CHECK(count(page, "<article") == 300);
  CHECK(contains(page, "The 300 most urgent of 10000 are shown"));
  CHECK(page.size() < 2'000'000);
}

TEST_CASE("the page needs no script, and nothing from anywhere") {
  const std::string page = as_page({"1", noon, {good("a.example")}});
  for (const char* word : {"<script", "<link", "<img", "url(", "@import", " style="}) CHECK_FALSE(contains(page, word));
  CHECK(contains(policy_of_page(), "default-src 'none'; style-src 'sha256-"));
}
