#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include <acme_agent/status/faces.hpp>

#include "reporting.hpp"

using namespace acme_agent;
using namespace acme_agent::test;

TEST_CASE("what is held, in date, not overdue and served is good") {
  Reporting here;
  here.hold("mydyn.example");
  const Report report = here.report("mydyn.example");
  CHECK(report.state == "valid");
  CHECK(report.urgency == Urgency::good);
  CHECK(report.exit_code() == 0);
  CHECK(report.domains == std::vector<std::string>{"mydyn.example"});
  CHECK(report.leaf->validity.not_before == noon - a_day * 10);
  CHECK(report.folder == here.state.live("mydyn.example"));
}

TEST_CASE("each thing that is wrong has its urgency and its exit code") {
  Reporting here;
  Record record = here.hold("mydyn.example");
  const auto report_with = [&] {
    here.state.certificate("mydyn.example").save_record(record);
    return here.report("mydyn.example");
  };
  SUBCASE("it is not served") {
    record.deploy.ok = false;
    CHECK(report_with().urgency == Urgency::not_served);
    CHECK(report_with().exit_code() == 3);
  }
  SUBCASE("a renewal failed") {
    record.failures = 1;
    CHECK(report_with().urgency == Urgency::failing);
    CHECK(report_with().exit_code() == 1);
  }
  SUBCASE("its date has passed and no agent has come") {
    record.next_attempt = noon;
    CHECK(report_with().overdue);
    CHECK(report_with().urgency == Urgency::failing);
  }
  SUBCASE("it has ended") {
    here.hold("mydyn.example", a_day * 90);
    CHECK(here.report("mydyn.example").urgency == Urgency::expired);
    CHECK(here.report("mydyn.example").state == "expired");
  }
  SUBCASE("there is none") {
    CHECK(here.report("other.example").urgency == Urgency::missing);
    CHECK(here.report("other.example").state == "missing");
  }
}

TEST_CASE("the renewal window is the server's where it advises one for what is held, else our plan") {
  Reporting here;
  Record record = here.hold("mydyn.example");
  const Report planned = here.report("mydyn.example");
  REQUIRE(planned.renewal);
  CHECK(planned.renewal->start <= planned.leaf->validity.not_after - a_day * 30);
  CHECK(planned.renewal->start >= planned.leaf->validity.not_after - a_day * 32);
  CHECK(planned.renewal->end == planned.leaf->validity.not_after - a_day * 9);

  const Window advised{noon + a_day, noon + a_day * 2};
  record.held.emplace();
  record.held->renewal_info_id = record.advice.id = "ab.cd";
  record.advice.window = advised;
  here.state.certificate("mydyn.example").save_record(record);
  CHECK(here.report("mydyn.example").renewal == advised);

  record.advice.id = "of.another";
  here.state.certificate("mydyn.example").save_record(record);
  CHECK_FALSE(here.report("mydyn.example").advice);
}

TEST_CASE("a damaged held chain is a missing certificate, not an error") {
  Reporting here;
  here.hold("mydyn.example");
  for (const auto& file :
       std::filesystem::recursive_directory_iterator(here.state.certificate("mydyn.example").folder()))
    if (file.is_regular_file() && file.path().extension() == ".pem") std::ofstream(file.path()) << "rubbish";
  CHECK(here.report("mydyn.example").state == "missing");
}

TEST_CASE("of several, the most urgent comes first, and a certificate that fails outweighs one that is not served") {
  Reporting here;
  here.hold("a.example");
  Record record = here.hold("b.example");
  record.deploy.ok = false;
  here.state.certificate("b.example").save_record(record);
  record.failures = 2;
  here.hold("c.example");
  here.state.certificate("c.example").save_record(record);
  const std::vector<Subject> all{{"a.example"}, {"b.example"}, {"c.example"}};
  const Reports reports = report_on(all, here.state, "1.2.3", noon);
  CHECK(reports.certificates[0].name == "c.example");
  CHECK(reports.certificates[1].name == "b.example");
  CHECK(reports.certificates[2].name == "a.example");
  CHECK(reports.exit_code() == 1);
  CHECK(report_on({all[0], all[1]}, here.state, "1.2.3", noon).exit_code() == 3);
  CHECK(report_on(std::vector<Subject>{}, here.state, "1.2.3", noon).exit_code() == 0);
}

TEST_CASE("the configuration's words for names, folder and server go before what the files say") {
  Reporting here;
  here.hold("mydyn.example");
  const Subject subject{"mydyn.example",
                        {"mydyn.example", "mqtt.mydyn.example"},
                        "/etc/mosquitto/certs",
                        {{"https://ca.example/dir", "my-ca"}},
                        "letsencrypt"};
  const Report report = report_on(subject, here.state, noon);
  CHECK(report.domains.size() == 2);
  CHECK(report.folder == "/etc/mosquitto/certs");
  CHECK(report.server == "my-ca");
  CHECK(here.report("mydyn.example").server == "https://ca.example/dir");
}

TEST_CASE("text and JSON say the same of one certificate") {
  Reporting here;
  Record record = here.hold("mydyn.example");
  record.served = {{"localhost:8883", "127.0.0.1", false, noon, "it shows another certificate"}};
  record.failures = 2;
  record.last_error = "port 80 is taken";
  here.state.certificate("mydyn.example").save_record(record);
  const Reports reports = report_on({{"mydyn.example"}}, here.state, "1.2.3", noon);
  const nlohmann::json json = nlohmann::json::parse(as_json(reports));
  CHECK(json["version"] == "1.2.3");
  const nlohmann::json& one = json["certificates"][0];
  CHECK(one["not_after"] == "2027-02-10T12:00:00Z");
  CHECK(one["failures"] == 2);
  CHECK(one["served"][0]["detail"] == "it shows another certificate");
  const std::string text = as_text(reports);
  for (const char* words :
       {"mydyn.example  valid until 2027-02-10T12:00:00Z (80 days)", "port 80 is taken (2 in a row)",
        "localhost:8883 (127.0.0.1) NO: it shows another certificate"})
    CHECK_MESSAGE(text.find(words) != std::string::npos, text);
}

TEST_CASE("a broker's folder that cannot be read hides no other certificate") {
  Reporting here;
  here.hold("good.example");
  std::filesystem::create_directories(here.folder / "broker/privkey.pem");  // where a file should be
  Subject damaged{"damaged.example"};
  damaged.folder = here.folder / "broker";
  const Reports all = report_on({Subject{"good.example"}, damaged}, here.state, "1", noon);
  CHECK(all.certificates.size() == 2);
  CHECK(all.certificates[0].name == "damaged.example");
  CHECK(all.certificates[0].state == "missing");
}
