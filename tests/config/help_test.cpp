#include <algorithm>
#include <sstream>

#include "loading.hpp"

using namespace acme_agent;
using namespace acme_agent::test;

namespace {

std::size_t longest_line(const std::string& text) {
  std::size_t longest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());
  return longest;
}

/// With one space for each run of white space.
std::string unwrapped(const std::string& text) {
  std::istringstream words(text);
  std::string line;
  for (std::string word; words >> word;) line += word + " ";
  return line;
}

std::string refusal(const std::string& topic) {
  try {
    help_text(topic);
  } catch (const Error& error) {
    return error.message();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("the overview fits a terminal of 80 columns and 24 lines, with the prompt") {
  const std::string text = help_text("");
  CHECK(std::count(text.begin(), text.end(), '\n') <= 23);
  CHECK(longest_line(text) < 80);
  CHECK(text.ends_with("\n  acme-agent --dry-run --domain mydyn.example\n"));
}

TEST_CASE("every page fits 80 columns and ends with what to do next") {
  for (const std::string topic : {"", "options", "run", "status", "doctor", "renew", "check", "account", "revoke",
                                  "remove", "tasmota", "import", "watch"}) {
    CAPTURE(topic);
    const std::string text = help_text(topic);
    CHECK(longest_line(text) < 80);
    const std::size_t next = text.rfind("\nNext");
    REQUIRE(next != std::string::npos);
    CHECK(std::count(text.begin() + static_cast<std::ptrdiff_t>(next), text.end(), '\n') <= 5);
    CHECK(contains(text.substr(next), "acme-agent "));
  }
}

TEST_CASE("the page of options has every option that the command line takes, with its default") {
  const std::string text = help_text("options");
  for (const std::string option : {"-d, --domain NAME",
                                   "--name NAME",
                                   "--server SERVER",
                                   "--ca-bundle FILE",
                                   "--email ADDRESS",
                                   "--eab-kid ID",
                                   "--eab-hmac-key-file FILE",
                                   "--key-type TYPE",
                                   "--reuse-key yes|no",
                                   "--challenge TYPE",
                                   "--http-listen [ADDRESS:]PORT",
                                   "--webroot DIR",
                                   "--alpn-listen [ADDRESS:]PORT",
                                   "--dns-update HOST[:PORT]",
                                   "--dns-tsig-file FILE",
                                   "--dns-hook PROGRAM",
                                   "--cert-dir DIR",
                                   "--owner USER[:GROUP]",
                                   "--mode MODE",
                                   "--reload HOW",
                                   "--probe HOST:PORT",
                                   "--probe-timeout TIME",
                                   "--placeholder yes|no",
                                   "--state-dir DIR",
                                   "--workers COUNT",
                                   "--log-level LEVEL",
                                   "--log-format FORMAT",
                                   "--quiet",
                                   "--config FILE",
                                   "--once",
                                   "--force",
                                   "--json",
                                   "-h, --help",
                                   "--version"}) {
    CHECK(contains(text, option + "\n"));
  }
  for (const std::string words : {"default: letsencrypt)", "default: rsa2048)", "default: 0640)",
                                  "default: process:mosquitto)", "localhost:8883", "default: 10s)"}) {
    CHECK(contains(unwrapped(text), words));
  }
}

TEST_CASE("the options and the page of renew say the same of --force") {
  CHECK(contains(unwrapped(help_text("options")), "--force with renew: even if it is not due; with account"));
  CHECK(contains(unwrapped(help_text("renew")), "--force renews it even if it is not due."));
}

TEST_CASE("the configuration shown in the help is a good one") {
  const std::string text = help_text("options");
  const std::string heading = "A configuration file:\n";
  const std::size_t start = text.find(heading) + heading.size();
  Loading t;
  t.file(text.substr(start, text.find("\nNext") - start));
  CHECK(names_of(t.only()) == Words{"mydyn.example", "mqtt.mydyn.example"});
}

TEST_CASE("the overview names every command") {
  for (const std::string command : {"run", "status [NAME...]", "doctor [NAME...]", "renew NAME", "help"}) {
    CHECK(contains(help_text(""), "\n  " + command));
  }
  CHECK(
      contains(help_text(""),
               "\n  and               check, revoke, remove, account, tasmota, ca, import, watch,\n                    "
               "placeholder, init\n"));
}

TEST_CASE("an unknown topic is refused with the nearest one") {
  CHECK(refusal("stauts") == "unknown command 'stauts': did you mean 'status'?");
  CHECK(contains(refusal("option"), "did you mean 'options'?"));
  CHECK(contains(refusal("xyzzy"), "unknown command 'xyzzy'"));
}
