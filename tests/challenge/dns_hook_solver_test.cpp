#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

#include <acme_agent/base/error.hpp>
#include <acme_agent/challenge/dns01.hpp>
#include <acme_agent/challenge/dns_hook_solver.hpp>
#include <acme_agent/sys/file.hpp>

#include "support/emulation.hpp"
#include "support/quiet_log.hpp"
#include "support/recording_processes.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace acme_agent::test;
using namespace std::chrono_literals;

namespace {

const Identifier base{Identifier::Type::dns, "mydyn.example"};
const Identifier wildcard{Identifier::Type::dns, "*.mydyn.example"};

ChallengeAnswer answer_for(const Identifier& identifier, const std::string& key_authorization, std::size_t remaining) {
  return {identifier, "token", key_authorization, {base, wildcard}, remaining};
}

bool has(const std::vector<std::string>& environment, const std::string& variable) {
  return std::find(environment.begin(), environment.end(), variable) != environment.end();
}

/// On paper.
struct Hooking {
  SystemClock clock;
  QuietLog log{clock};
  RecordingProcesses processes;
  std::stop_source stop;
  DnsHookSolver solver{{{"/etc/hook", "--fast"}}, 5min, processes, log};

  std::string complaint() {
    try {
      solver.present(answer_for(base, "a", 0), stop.get_token());
    } catch (const Error& error) {
      CHECK(error.remedy() == Remedy::retry);
      return error.message();
    }
    return "it was set";
  }
};

/// With a real script, whose zone is a file.
struct Zone {
  explicit Zone(const std::string& script) {
    const std::filesystem::path path = folder / "hook";
    std::ofstream(path) << "#!/bin/sh\nzone=" << (folder / "zone").string() << "\n" << script;
    ::chmod(path.c_str(), 0755);
    program = path;
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    std::ifstream file(folder / "zone");
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }

  TempDir folder;
  std::string program;
  SystemClock clock;
  QuietLog log{clock};
  SystemProcesses processes;
};

}  // namespace

TEST_CASE("the program is called as lego calls its own: to set a record, and to remove it") {
  Hooking t;
  CHECK(t.solver.type() == "dns-01");
  auto presentation = t.solver.present(answer_for(wildcard, "a", 0), {});
  const std::string value = dns01_value("a");
  REQUIRE(t.processes.runs.size() == 1);
  CHECK(t.processes.runs[0].argv ==
        std::vector<std::string>{"/etc/hook", "--fast", "present", "_acme-challenge.mydyn.example.", value});
  CHECK(t.processes.runs[0].timeout == 5min);
  CHECK(t.solver.has_to_clean_up());
  presentation.reset();
  REQUIRE(t.processes.runs.size() == 2);
  CHECK(t.processes.runs[1].argv ==
        std::vector<std::string>{"/etc/hook", "--fast", "cleanup", "_acme-challenge.mydyn.example.", value});
  CHECK_FALSE(t.solver.has_to_clean_up());
}

TEST_CASE("the program sees what certbot tells its hooks, and what it said itself when it is to remove the record") {
  Hooking t;
  t.processes.on_run = [](const RecordingProcesses::Run&) {
    return CommandResult{.output = "noise\n record 17 \n", .standard_output = " record 17 \n"};
  };
  t.solver.present(answer_for(wildcard, "a", 1), {}).reset();
  REQUIRE(t.processes.runs.size() == 2);
  for (const auto& run : t.processes.runs) {
    CHECK(has(run.environment, "CERTBOT_DOMAIN=mydyn.example"));
    CHECK(has(run.environment, "CERTBOT_VALIDATION=" + dns01_value("a")));
    CHECK(has(run.environment, "CERTBOT_ALL_DOMAINS=mydyn.example,mydyn.example"));
    CHECK(has(run.environment, "CERTBOT_REMAINING_CHALLENGES=1"));
    for (const std::string& variable : run.environment) CHECK_FALSE(variable.starts_with("CERTBOT_TOKEN="));
  }
  CHECK(t.processes.runs[0].environment.size() == 4);
  CHECK(has(t.processes.runs[1].environment, "CERTBOT_AUTH_OUTPUT=record 17"));
}

TEST_CASE("of two programs the first sets and the second removes") {
  Hooking t;
  DnsHookSolver solver{{{"auth.sh"}, {"cleanup.sh"}}, 1min, t.processes, t.log};
  solver.present(answer_for(base, "a", 0), {}).reset();
  REQUIRE(t.processes.runs.size() == 2);
  CHECK(t.processes.runs[0].argv[0] == "auth.sh");
  CHECK(t.processes.runs[1].argv[0] == "cleanup.sh");
}

TEST_CASE("a program that fails is told with its last line, and what it may have set is removed") {
  Hooking t;
  t.processes.on_run = [](const RecordingProcesses::Run& run) {
    const bool present = std::find(run.argv.begin(), run.argv.end(), "present") != run.argv.end();
    return present ? CommandResult{.exit_code = 3, .output = "trying\nno such zone\n"} : CommandResult{};
  };
  CHECK(t.complaint() ==
        "the DNS hook '/etc/hook present _acme-challenge.mydyn.example.' ended with exit code 3, saying \"no such "
        "zone\"");
  CHECK(t.processes.runs.size() == 2);
  t.processes.on_run = [](const RecordingProcesses::Run&) { return CommandResult{.exit_code = 1}; };
  CHECK(t.complaint().ends_with("ended with exit code 1, saying nothing"));
}

TEST_CASE("a program that takes too long is told") {
  Hooking t;
  t.processes.on_run = [](const RecordingProcesses::Run&) { return CommandResult{.timed_out = true}; };
  CHECK(t.complaint().find("was ended since it took longer than 5 minutes") != std::string::npos);
}

TEST_CASE("a program that is not there is told, and not called to remove anything") {
  if (test::emulated()) {
    MESSAGE("skipped: emulated");
    return;
  }
  Zone t("");
  DnsHookSolver solver{{{"/no/such/hook"}}, 1min, t.processes, t.log};
  try {
    solver.present(answer_for(base, "a", 0), {});
    FAIL("it was set");
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::ask_operator);
    CHECK(error.message().find("/no/such/hook") != std::string::npos);
  }
  CHECK_FALSE(solver.has_to_clean_up());
}

TEST_CASE("a record is removed though the program was stopped while it set it, and nothing is begun after a stop") {
  Zone t("echo $1 >> $zone; [ $1 = cleanup ] || sleep 60");
  DnsHookSolver solver{{{t.program}}, 1min, t.processes, t.log};
  std::stop_source stop;
  std::jthread stopper([&] {
    while (t.lines().empty()) std::this_thread::yield();
    stop.request_stop();
  });
  CHECK_THROWS_AS(solver.present(answer_for(base, "a", 0), stop.get_token()), Stopped);
  CHECK(t.lines() == std::vector<std::string>{"present", "cleanup"});
  CHECK_THROWS_AS(solver.present(answer_for(base, "a", 0), stop.get_token()), Stopped);
  CHECK(t.lines().size() == 2);
}

TEST_CASE("the records of a wildcard and its base stand side by side") {
  Zone t("case $1 in present) echo $2 $3 >> $zone;; cleanup) sed -i \"/$3/d\" $zone;; esac");
  DnsHookSolver solver{{{t.program}}, 1min, t.processes, t.log};
  const std::string name = "_acme-challenge.mydyn.example. ";
  auto one = solver.present(answer_for(base, "a", 1), {});
  auto other = solver.present(answer_for(wildcard, "b", 0), {});
  CHECK(t.lines() == std::vector<std::string>{name + dns01_value("a"), name + dns01_value("b")});
  one.reset();
  CHECK(t.lines() == std::vector<std::string>{name + dns01_value("b")});
  other.reset();
  CHECK(t.lines().empty());
}

TEST_CASE("programs are never called side by side") {
  Zone t("echo in >> $zone; sleep 0.02; echo out >> $zone");
  DnsHookSolver solver{{{t.program}}, 1min, t.processes, t.log};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { solver.present(answer_for(base, "a", 0), {}); });
  }
  const std::vector<std::string> lines = t.lines();
  REQUIRE(lines.size() == 16);
  for (std::size_t i = 0; i < lines.size(); ++i) CHECK(lines[i] == (i % 2 == 0 ? "in" : "out"));
}

TEST_CASE("another program is another way to answer") {
  Hooking t;
  const DnsHookSolver other{{{"/etc/other"}}, 5min, t.processes, t.log};
  CHECK(t.solver.describe() == "dns-01 by /etc/hook --fast");
  CHECK(other.describe() != t.solver.describe());
}
