#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include <acme_agent/sys/file_lock.hpp>
#include <acme_agent/sys/processes.hpp>

#include "child.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;

namespace {

using Attempt = std::variant<FileLock, FileLock::Holder>;

bool acquired(const Attempt& attempt) {
  return std::holds_alternative<FileLock>(attempt);
}

}  // namespace

TEST_CASE("a lock excludes others, names its holder, and can be had again when it is dropped") {
  const test::TempDir folder;
  std::optional<Attempt> first = FileLock::try_acquire(folder / "lock");
  REQUIRE(acquired(*first));
  const Attempt second = FileLock::try_acquire(folder / "lock");
  REQUIRE_FALSE(acquired(second));
  CHECK(std::get<FileLock::Holder>(second).pid == ::getpid());
  first.reset();
  CHECK(acquired(FileLock::try_acquire(folder / "lock")));
  CHECK(std::filesystem::exists(folder / "lock"));
}

TEST_CASE("a lock of another process names its pid and ends with it, even by SIGKILL") {
  const test::TempDir folder;
  std::optional<Attempt> held;
  pid_t pid = 0;
  {
    const test::Child child([&] { held = FileLock::try_acquire(folder / "lock"); });
    pid = child.pid();
    const Attempt attempt = FileLock::try_acquire(folder / "lock");
    REQUIRE_FALSE(acquired(attempt));
    CHECK(std::get<FileLock::Holder>(attempt).pid == pid);
  }
  CHECK(acquired(FileLock::try_acquire(folder / "lock")));
}

TEST_CASE("a holder that wrote no pid, or that of a dead process, is unknown") {
  const test::TempDir folder;
  for (const char* text : {"", "garbage", "-1", "0", "4194304\n"}) {
    const Attempt held = FileLock::try_acquire(folder / "lock");
    std::ofstream(folder / "lock") << text;
    CHECK(std::get<FileLock::Holder>(FileLock::try_acquire(folder / "lock")).pid == 0);
  }
}

TEST_CASE("a program that we start does not inherit the lock") {
  const test::TempDir folder;
  std::optional<Attempt> held = FileLock::try_acquire(folder / "lock");
  const CommandResult started =
      SystemProcesses().run({"sh", "-c", "sleep 1000 & echo $!"}, {}, 1min, std::stop_token());
  const pid_t sleeper = std::stoi(started.output);
  REQUIRE(::kill(sleeper, 0) == 0);
  held.reset();
  CHECK(acquired(FileLock::try_acquire(folder / "lock")));
  ::kill(sleeper, SIGKILL);
}

TEST_CASE("a lock in a folder that does not exist is an error") {
  const test::TempDir folder;
  CHECK_THROWS_AS(FileLock::try_acquire(folder / "none" / "lock"), Error);
}
