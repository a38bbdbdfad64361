#include <algorithm>
#include <sstream>

#include <acme_agent/base/text.hpp>

#include "config/option.hpp"
#include "loading.hpp"

using namespace acme_agent;
using namespace acme_agent::test;

namespace {

std::string reference(const std::string& format) {
  return reference_text(format, "1.2.3", "2026-11-23");
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// A line of the configuration that is one as soon as its '#' is gone.
bool is_setting(const std::string& line) {
  if (line.starts_with("#[")) return line.ends_with(']');
  const std::size_t end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-", 1);
  return line.starts_with('#') && end != std::string::npos && end > 1 && line.substr(end).starts_with(" = ");
}

/// What makes sense with another option only.
const std::vector<std::pair<std::string, std::string>> needed = {
    {"csr", "key-file"},
    {"eab-kid", "eab-hmac-key-file"},
    {"eab-hmac-key-file", "eab-kid"},
    {"dns-tsig-file", "dns-update"},
};

}  // namespace

TEST_CASE("every option is in the man page and in every completion, every key in the configuration file") {
  for (const Option& option : options()) {
    CAPTURE(option.name);
    const std::string name(option.name);
    std::string roff;
    for (const char c : name) roff += c == '-' ? std::string("\\-") : std::string(1, c);
    CHECK(contains(reference("man"), "\\fB\\-\\-" + roff + "\\fR"));
    CHECK(contains(reference("bash"), "--" + name));
    CHECK(contains(reference("zsh"), "--" + name + (option.flag() ? "[" : "=[")));
    CHECK(contains(reference("fish"), " -l " + name + " "));
    CHECK(contains(reference("conf"), "\n#" + name + " = ") == !option.command_line_only());
    CHECK(contains(reference("man-conf"), "\\fB" + roff + "\\fR = ") == !option.command_line_only());
  }
}

TEST_CASE("the configuration file as it stands says nothing") {
  for (const std::string& line : lines_of(reference("conf"))) CHECK((line.empty() || line.starts_with('#')));
}

TEST_CASE("each line of the configuration file is a good one as soon as its # is taken away") {
  const std::vector<std::string> lines = lines_of(reference("conf"));
  std::size_t settings = 0;
  for (std::size_t at = 0; at < lines.size(); ++at) {
    if (!is_setting(lines[at])) continue;
    ++settings;
    std::string text = "domain = mydyn.example\n";
    for (const auto& [key, other] : needed) {
      if (!lines[at].starts_with("#" + key + " = ")) continue;
      const auto line =
          std::find_if(lines.begin(), lines.end(), [&](const auto& l) { return l.starts_with("#" + other + " = "); });
      REQUIRE(line != lines.end());
      text += line->substr(1) + "\n";
    }
    if (lines[at].starts_with("#domain = ") || lines[at].starts_with("#[")) text.clear();
    if (lines[at].starts_with("#restart-window = ")) text += "reload = systemd:mosquitto\n";
    for (std::size_t other = 0; other < lines.size(); ++other)
      text += (other == at ? lines[other].substr(1) : lines[other]) + "\n";
    Loading t;
    t.file(text);
    CAPTURE(lines[at]);
    CHECK(t.complaint() == "");
  }
  CHECK(settings > 40);
}

TEST_CASE("every word that is completed is a good value") {
  for (const Option& option : options()) {
    if (option.command_line_only()) continue;
    for (const std::string& word : split(option.words, ' ')) {
      if (word.ends_with(':')) continue;
      CAPTURE(option.name);
      Loading t;
      std::vector<std::string> arguments{"--" + std::string(option.name) + "=" + word};
      if (word == "dns-01") arguments.push_back("--dns-update=ns1.mydyn.example");
      if (option.name == "device-trust") arguments.push_back("--for=tasmota");
      CHECK(t.complaint_with(arguments) == "");
    }
  }
}

TEST_CASE("an unknown format is refused with the nearest one") {
  std::string message;
  try {
    reference("bahs");
  } catch (const Error& error) {
    message = error.message();
  }
  CHECK(message == "--format: 'bahs' is not one of man, man-conf, bash, zsh, fish and conf: did you mean 'bash'?");
}
