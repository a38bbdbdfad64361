#include <doctest/doctest.h>
#include <unistd.h>

#include <set>

#include <acme_agent/store/state.hpp>

#include "store/disk.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace acme_agent::test;

namespace {

namespace fs = std::filesystem;

std::string complaint_about(const fs::path& folder) {
  return complaint_of([&] { StateFolder(folder).create(); });
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

}  // namespace

TEST_CASE("a state folder is made with the modes of the contract, whatever the umask is") {
  for (const mode_t mask : {mode_t{0}, mode_t{077}, mode_t{0777}}) {
    TempDir dir;
    const Umask umask(mask);
    const StateFolder state(dir / "deeper/state");
    state.create();
    CHECK(mode_of(state.path()) == 0711);
    CHECK(mode_of(state.path() / "live") == 0711);
    CHECK(mode_of(state.path() / "accounts") == 0700);
    CHECK(mode_of(state.path() / "certificates") == 0700);
    CHECK(names_in(state.path()) == std::set<std::string>{"accounts", "certificates", "live"});
  }
}

TEST_CASE("creating a state folder again changes nothing, wider modes included") {
  TempDir dir;
  const StateFolder state(dir / "state");
  state.create();
  fs::permissions(state.path(), fs::perms{0755});
  fs::permissions(state.path() / "live", fs::perms{0755});
  put(state.path() / "accounts/file", "kept");
  state.create();
  CHECK(mode_of(state.path()) == 0755);
  CHECK(mode_of(state.path() / "live") == 0755);
  CHECK(content_of(state.path() / "accounts/file") == "kept");
}

TEST_CASE("everything has its place in the state folder") {
  TempDir dir;
  const StateFolder state(dir / "state");
  state.create();
  CHECK(state.lock_file() == dir / "state/lock");
  CHECK(state.control_socket() == dir / "state/control.sock");
  CHECK(state.live("mydyn.example") == dir / "state/live/mydyn.example");
  CHECK(state.certificate("mydyn.example").folder() == dir / "state/certificates/mydyn.example");
  state.accounts().save("https://ca.example/dir", {PrivateKey::generate(KeyType::ec256), "", ""});
  CHECK(names_in(state.path() / "accounts").size() == 1);
}

TEST_CASE("a file where the state folder or a folder of it shall be is told at start") {
  TempDir dir;
  put(dir / "file", "");
  CHECK(complaint_about(dir / "file") == "the state folder cannot be used: " + (dir / "file").string() +
                                             " is not a folder: move it away, or choose another --state-dir");
  CHECK(contains(complaint_about(dir / "file/state"), (dir / "file/state").string()));
  for (const std::string name : {"accounts", "certificates", "live"}) {
    TempDir state;
    put(state / name, "");
    CHECK(contains(complaint_about(state.path()), (state / name).string() + " is not a folder"));
  }
}

TEST_CASE("a full disk is told at start, although the folders are there") {
  TempDir dir;
  StateFolder(dir.path()).create();
  for (const rlim_t room : {rlim_t{0}, rlim_t{1000}}) {
    const FullDisk full(room);
    CHECK(contains(complaint_about(dir.path()), dir.path().string()));
  }
  CHECK(names_in(dir.path()) == std::set<std::string>{"accounts", "certificates", "live"});
}

TEST_CASE("a file system that takes no folders is told at start") {
  CHECK(contains(complaint_about("/proc/self"), "/proc/self/live"));
  CHECK(contains(complaint_about("/proc/acme-agent"), "/proc/acme-agent"));
}

TEST_CASE("a state folder of another user is left alone, even by root") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: only root can make a folder that belongs to somebody else");
    return;
  }
  TempDir dir;
  StateFolder(dir.path()).create();
  REQUIRE(::chown((dir / "certificates").c_str(), 12345, static_cast<gid_t>(-1)) == 0);
  const std::string complaint = complaint_about(dir.path());
  CHECK(contains(complaint, (dir / "certificates").string() + " belongs to the user with the id 12345"));
}

TEST_CASE("the certificates that a state folder knows can be told") {
  const TempDir dir;
  const StateFolder state(dir / "state");
  CHECK(state.names().empty());
  state.create();
  for (const std::string name : {"b.example", "a.example"}) state.certificate(name).save_record(Record{});
  CHECK(state.names() == std::vector<std::string>{"a.example", "b.example"});
}

TEST_CASE("a link in a circle beside the certificates is none") {
  TempDir dir;
  const StateFolder state(dir / "state");
  state.create();
  fs::create_directory_symlink("circle", state.path() / "certificates/circle");
  CHECK(state.names().empty());
}
