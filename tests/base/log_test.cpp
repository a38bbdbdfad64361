#include <doctest/doctest.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>
#include <optional>
#include <thread>
#include <vector>

#include <acme_agent/base/log.hpp>

#include "support/fake_clock.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;

namespace {

/// An environment variable as this test wants it, and back.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = ::getenv(name)) before_ = before;
    value == nullptr ? ::unsetenv(name) : ::setenv(name, value, 1);
  }
  ~Variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

struct Logging {
  test::TempDir folder;
  test::FakeClock clock{std::chrono::sys_days{std::chrono::year{2026} / 11 / 22} + 10h};
  Variable no_journal{"JOURNAL_STREAM", nullptr};
  int output = ::open((folder / "log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);

  ~Logging() { ::close(output); }
  std::string written() const {
    std::ifstream file(folder / "log");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string stream() const {
    struct stat status {};
    ::fstat(output, &status);
    return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  }
};

struct Terminal {
  int master = -1;
  int slave = -1;

  explicit Terminal(unsigned short columns) {
    winsize size{};
    size.ws_col = columns;
    size.ws_row = 24;
    REQUIRE(::openpty(&master, &slave, nullptr, nullptr, &size) == 0);
  }
  ~Terminal() {
    ::close(master);
    ::close(slave);
  }
  std::string shown() const {
    std::array<char, 4096> text{};
    const ssize_t count = ::read(master, text.data(), text.size());
    return {text.data(), count > 0 ? static_cast<std::size_t>(count) : 0};
  }
};

}  // namespace

TEST_CASE("a text line has a time, a level, the certificate and the message") {
  Logging t;
  Log log(LogLevel::debug, LogFormat::text, t.clock, t.output);
  log.info("renewed", "mydyn.example");
  log.warning("no certificate named");
  log.error("broken");
  log.debug("detail");
  CHECK(t.written() ==
        "2026-11-22T10:00:00Z info  mydyn.example: renewed\n"
        "2026-11-22T10:00:00Z warning no certificate named\n"
        "2026-11-22T10:00:00Z error broken\n"
        "2026-11-22T10:00:00Z debug detail\n");
}

TEST_CASE("messages below the wanted level are not written") {
  Logging t;
  Log log(LogLevel::warning, LogFormat::text, t.clock, t.output);
  log.info("quiet");
  log.debug("quieter");
  log.progress("quietest");
  CHECK(t.written() == "");
  log.warning("heard");
  CHECK(t.written() == "2026-11-22T10:00:00Z warning heard\n");
}

TEST_CASE("a message stays one line and cannot drive a terminal") {
  Logging t;
  Log log(LogLevel::info, LogFormat::text, t.clock, t.output);
  log.info("evil\n2026 info  fake \x1b[2J", "n\name");
  CHECK(t.written() == "2026-11-22T10:00:00Z info  n\\name: evil\\n2026 info  fake \\x1b[2J\n");
}

TEST_CASE("a JSON line is one object whatever the message holds") {
  Logging t;
  Log log(LogLevel::info, LogFormat::json, t.clock, t.output);
  log.info("say \"hi\" \\ \n\x1b Grüße \xff", "mydyn.example");
  log.error("plain");
  CHECK(
      t.written() ==
      R"({"time":"2026-11-22T10:00:00Z","level":"info","message":"say \"hi\" \\ \u000a\u001b Grüße \ufffd","certificate":"mydyn.example"})"
      "\n"
      R"({"time":"2026-11-22T10:00:00Z","level":"error","message":"plain"})"
      "\n");
}

TEST_CASE("the journal gets a priority and no time") {
  Logging t;
  const Variable journal("JOURNAL_STREAM", t.stream().c_str());
  Log log(LogLevel::debug, LogFormat::text, t.clock, t.output);
  log.error("e");
  log.warning("w");
  log.info("i", "mydyn.example");
  log.debug("d");
  CHECK(t.written() == "<3>e\n<4>w\n<6>mydyn.example: i\n<7>d\n");
}

TEST_CASE("a descriptor that only inherited JOURNAL_STREAM is not the journal") {
  Logging t;
  for (const char* stream : {"8:12345", "", "nonsense"}) {
    const Variable journal("JOURNAL_STREAM", stream);
    Log(LogLevel::info, LogFormat::text, t.clock, t.output).info("i");
  }
  const std::string line = "2026-11-22T10:00:00Z info  i\n";
  CHECK(t.written() == line + line + line);
}

TEST_CASE("progress outside a terminal is a debug message") {
  Logging t;
  Log log(LogLevel::debug, LogFormat::text, t.clock, t.output);
  log.progress("waiting for the server", "mydyn.example");
  CHECK(t.written() == "2026-11-22T10:00:00Z debug mydyn.example: waiting for the server\n");
}

TEST_CASE("progress on a terminal is replaced by what comes next") {
  Logging t;
  const Variable plain("NO_COLOR", "1");
  const Terminal terminal(80);
  Log log(LogLevel::info, LogFormat::text, t.clock, terminal.slave);
  log.progress("waiting");
  CHECK(terminal.shown() == "\r\x1b[Kwaiting");
  log.progress("still waiting");
  CHECK(terminal.shown() == "\r\x1b[Kstill waiting");
  log.info("done");
  CHECK(terminal.shown() == "\r\x1b[K2026-11-22T10:00:00Z info  done\r\n");
  log.info("next");
  CHECK(terminal.shown() == "2026-11-22T10:00:00Z info  next\r\n");
}

TEST_CASE("progress is cut to the width of the terminal and erased at the end") {
  Logging t;
  const Terminal terminal(10);
  {
    Log log(LogLevel::info, LogFormat::text, t.clock, terminal.slave);
    log.progress("0123456789abcdef");
    CHECK(terminal.shown() == "\r\x1b[K012345678…");
  }
  CHECK(terminal.shown() == "\r\x1b[K");
}

TEST_CASE("levels are coloured on a terminal, unless NO_COLOR says otherwise") {
  Logging t;
  const Terminal terminal(80);
  {
    const Variable coloured("NO_COLOR", nullptr);
    Log(LogLevel::info, LogFormat::text, t.clock, terminal.slave).error("red");
    CHECK(terminal.shown() == "2026-11-22T10:00:00Z \x1b[31merror\x1b[0m red\r\n");
  }
  const Variable plain("NO_COLOR", "1");
  Log(LogLevel::info, LogFormat::text, t.clock, terminal.slave).error("plain");
  CHECK(terminal.shown() == "2026-11-22T10:00:00Z error plain\r\n");
}

TEST_CASE("lines of many threads are never mixed") {
  Logging t;
  Log log(LogLevel::info, LogFormat::text, t.clock, t.output);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&log] {
        for (int j = 0; j < 200; ++j) log.info("the same line");
      });
    }
  }
  std::string expected;
  for (int i = 0; i < 800; ++i) expected += "2026-11-22T10:00:00Z info  the same line\n";
  CHECK(t.written() == expected);
}

TEST_CASE("a log whose reader is gone does not fail") {
  Logging t;
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
  Log log(LogLevel::info, LogFormat::text, t.clock, ends[1]);
  for (int i = 0; i < 2000; ++i) log.info(std::string(100, 'x'));  // More than the pipe holds.
  CHECK(::close(ends[1]) == 0);
  log.info("into a closed descriptor");
  ::close(ends[0]);
}
