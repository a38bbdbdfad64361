#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <set>
#include <thread>

#include <acme_agent/sys/generations.hpp>

#include "child.hpp"
#include "support/emulation.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
namespace fs = std::filesystem;

namespace {

const std::vector<std::string> names = {"cert.pem", "fullchain.pem", "privkey.pem"};
const Ownership shared{.uid = {}, .gid = {}, .mode = 0640};

std::vector<GenerationFolder::File> files(const std::string& set) {
  std::vector<GenerationFolder::File> all;
  for (const std::string& name : names) all.push_back({name, Secret(set + " " + name)});
  return all;
}

void install(GenerationFolder& folder, const std::string& set) {
  folder.activate(folder.prepare(files(set), shared));
}

void write_plain(const fs::path& path, const std::string& content) {
  fs::remove(path);
  std::ofstream(path) << content;
}

/// certbot's copies.
void write_plain_set(const fs::path& folder, const std::string& set) {
  for (const std::string& name : names) write_plain(folder / name, set + " " + name);
}

std::string read(const GenerationFolder& folder, const std::string& name) {
  const std::optional<Secret> content = folder.read(name);
  return content ? std::string(content->reveal()) : "(none)";
}

std::string read_plain(const fs::path& path) {
  const std::optional<Secret> content = read_file(path);
  return content ? std::string(content->reveal()) : "(none)";
}

/// The set that all names lead to; "(none)" without any name, else what is wrong.
std::string whole_set(const fs::path& folder) {
  std::set<std::string> sets;
  for (const std::string& name : names) {
    if (!fs::exists(fs::symlink_status(folder / name))) continue;
    const std::string content = read_plain(folder / name);
    const std::size_t end = content.find(' ');
    if (end == std::string::npos || content.substr(end + 1) != name) return name + " leads to " + content;
    sets.insert(content.substr(0, end));
  }
  if (sets.size() > 1) return "torn: " + *sets.begin() + " and " + *sets.rbegin();
  return sets.empty() ? "(none)" : *sets.begin();
}

/// Everything in the folder but the names, sorted.
std::set<std::string> inside(const fs::path& folder) {
  std::set<std::string> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (std::find(names.begin(), names.end(), name) == names.end()) found.insert(name);
  }
  return found;
}

/// `to` becomes what `from` is. A file that nobody may read yet has no content yet either.
void copy_folder(const fs::path& from, const fs::path& to) {
  fs::remove_all(to);
  fs::create_directory(to);
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    const fs::path copy = to / entry.path().filename();
    if (entry.is_symlink()) {
      fs::copy_symlink(entry.path(), copy);
    } else if (entry.is_directory()) {
      copy_folder(entry.path(), copy);
    } else if (::access(entry.path().c_str(), R_OK) == 0) {
      fs::copy_file(entry.path(), copy);
    } else {
      create_file(copy, "", {.uid = {}, .gid = {}, .mode = 0});
    }
  }
}

/// All that a crash would leave in the folder, as text.
std::string fingerprint(const fs::path& folder) {
  std::set<std::string> lines;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    std::string line = entry.path();
    if (entry.is_symlink()) line += " -> " + fs::read_symlink(entry.path()).string();
    if (!entry.is_symlink() && entry.is_regular_file()) line += " " + std::to_string(entry.file_size());
    lines.insert(line);
  }
  std::string all;
  for (const std::string& line : lines) all += line + '\n';
  return all;
}

/// Runs `work` in a process of its own and calls `look` whenever that stands before or behind a system call: what a
/// kill at this moment would leave is all there.
void stop_at_system_calls(const std::function<void()>& work, const std::function<void()>& look) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    try {
      work();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFSTOPPED(status));
  REQUIRE(::ptrace(PTRACE_SETOPTIONS, pid, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0);
  while (!WIFEXITED(status)) {
    look();
    REQUIRE(::ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr) == 0);
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    REQUIRE_FALSE(WIFSIGNALED(status));
  }
  REQUIRE(WEXITSTATUS(status) == 0);
}

/// Checks at every system call of `work`, in a folder that `before` prepared, that the names lead to `old` or "new"
/// whole, and that the next installation after a crash there finds nothing in its way.
void survives_every_crash(const std::function<void(GenerationFolder&)>& before,
                          const std::function<void(GenerationFolder&)>& work, const std::string& old) {
  if (test::emulated()) {
    MESSAGE("skipped: emulated");
    return;
  }
  const test::TempDir temp;
  GenerationFolder folder(temp / "live");
  fs::create_directory(folder.path());
  before(folder);
  REQUIRE(whole_set(folder.path()) == old);

  int states = 0;
  std::set<std::string> seen;
  std::string last;
  stop_at_system_calls([&] { work(folder); },
                       [&] {
                         std::string now = fingerprint(folder.path());
                         if (now == last) return;
                         last = std::move(now);
                         ++states;
                         CAPTURE(last);
                         const std::string set = whole_set(folder.path());
                         seen.insert(set);
                         CHECK((set == old || set == "new"));
                         for (const std::string& name : names) {
                           if (old != "(none)") CHECK(read(folder, name) != "(none)");
                         }

                         GenerationFolder crashed(temp / "crashed");
                         copy_folder(folder.path(), crashed.path());
                         install(crashed, "next");
                         CHECK(whole_set(crashed.path()) == "next");
                         std::size_t generations = 0;
                         for (const std::string& name : inside(crashed.path())) {
                           CAPTURE(name);
                           CHECK_FALSE(name.ends_with(".new"));
                           if (name != "..data" && name != "..previous") ++generations;
                         }
                         CHECK(generations <= 3);
                       });
  CHECK(whole_set(folder.path()) == "new");
  CHECK(states >= 5);
  CHECK(seen == std::set<std::string>{old, "new"});
}

}  // namespace

TEST_CASE("names are relative links through ..data into one generation") {
  const test::TempDir temp;
  GenerationFolder folder(temp / "live");
  CHECK_FALSE(folder.current());
  CHECK_FALSE(folder.previous());
  CHECK(read(folder, "cert.pem") == "(none)");
  install(folder, "one");
  CHECK(fs::read_symlink(temp / "live" / "cert.pem") == "..data/cert.pem");
  CHECK(fs::read_symlink(temp / "live" / "..data") == "..1");
  CHECK(folder.current() == temp / "live" / "..1");
  CHECK_FALSE(folder.previous());
  CHECK(read(folder, "cert.pem") == "one cert.pem");
  CHECK(whole_set(temp / "live") == "one");
}

TEST_CASE("a prepared generation changes nothing until it is activated") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  install(folder, "one");
  const fs::path prepared = folder.prepare(files("two"), shared);
  CHECK(prepared == temp / "..2");
  CHECK(whole_set(temp.path()) == "one");
  CHECK(read_plain(prepared / "privkey.pem") == "two privkey.pem");
  folder.activate(prepared);
  CHECK(whole_set(temp.path()) == "two");
  CHECK(folder.previous() == temp / "..1");
}

TEST_CASE("files have the owner and mode asked for, and everybody may pass to them") {
  const test::TempDir temp;
  GenerationFolder folder(temp / "live");
  const bool root = ::geteuid() == 0;
  const mode_t before = ::umask(0077);
  folder.activate(folder.prepare(files("one"), {.uid = root ? std::optional<uid_t>(65534) : std::nullopt,
                                                .gid = root ? std::optional<gid_t>(12345) : std::nullopt,
                                                .mode = 0640}));
  ::umask(before);
  struct stat status {};
  REQUIRE(::stat((temp / "live" / "privkey.pem").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0640);
  if (root) {
    CHECK(status.st_uid == 65534);
    CHECK(status.st_gid == 12345);
  }
  REQUIRE(::stat((temp / "live" / "..1").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0711);
  REQUIRE(::stat((temp / "live").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0711);
}

TEST_CASE("three generations stay") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  for (int i = 1; i <= 12; ++i) install(folder, "set" + std::to_string(i));
  CHECK(inside(temp.path()) == std::set<std::string>{"..10", "..11", "..12", "..data", "..previous"});
  CHECK(folder.current() == temp / "..12");
  CHECK(folder.previous() == temp / "..11");
}

TEST_CASE("an earlier generation can come back, and what failed is not taken for the one before") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  install(folder, "good");
  install(folder, "bad");
  folder.activate(folder.previous().value());
  CHECK(whole_set(temp.path()) == "good");
  CHECK(folder.previous() == temp / "..2");
  install(folder, "better");
  CHECK(folder.current() == temp / "..3");
  CHECK(folder.previous() == temp / "..1");
  folder.activate(folder.previous().value());
  CHECK(whole_set(temp.path()) == "good");
}

TEST_CASE("generation numbers grow, also after a roll-back") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  install(folder, "one");
  for (int i = 2; i < 8; ++i) {
    install(folder, "bad");
    CHECK(folder.current() == temp / (".." + std::to_string(i)));
    folder.activate(temp / "..1");
    CHECK(whole_set(temp.path()) == "one");
  }
}

TEST_CASE("activating the current generation again changes nothing") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  install(folder, "one");
  install(folder, "two");
  folder.activate(folder.current().value());
  CHECK(whole_set(temp.path()) == "two");
  CHECK(folder.previous() == temp / "..1");
}

TEST_CASE("a link that somebody removed is made again") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  install(folder, "one");
  fs::remove(temp / "cert.pem");
  CHECK(read(folder, "cert.pem") == "(none)");
  folder.activate(folder.current().value());
  CHECK(read(folder, "cert.pem") == "one cert.pem");
}

TEST_CASE("a name that a generation does not have loses its link") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  std::vector<GenerationFolder::File> more = files("one");
  more.push_back({"combined.pem", Secret("one combined.pem")});
  folder.activate(folder.prepare(more, shared));
  install(folder, "two");
  CHECK_FALSE(fs::exists(fs::symlink_status(temp / "combined.pem")));
  folder.activate(folder.previous().value());
  CHECK(read(folder, "combined.pem") == "one combined.pem");
}

TEST_CASE("regular files become the first generation, with their modes, and can come back") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  write_plain_set(temp.path(), "certbot");
  write_plain(temp / "README", "not ours");
  ::chmod((temp / "privkey.pem").c_str(), 0604);
  CHECK(read(folder, "cert.pem") == "certbot cert.pem");
  const fs::path prepared = folder.prepare(files("one"), shared);
  CHECK(whole_set(temp.path()) == "certbot");
  folder.activate(prepared);
  CHECK(whole_set(temp.path()) == "one");
  CHECK(folder.current() == temp / "..2");
  CHECK(folder.previous() == temp / "..1");
  CHECK(read_plain(temp / "README") == "not ours");
  folder.activate(folder.previous().value());
  CHECK(whole_set(temp.path()) == "certbot");
  struct stat status {};
  REQUIRE(::stat((temp / "privkey.pem").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0604);
}

TEST_CASE("links of somebody else to regular files are kept as a generation too") {
  const test::TempDir temp;
  fs::create_directory(temp / "archive");
  write_plain_set(temp / "archive", "lineage");
  fs::create_directory(temp / "live");
  for (const std::string& name : names) fs::create_symlink("../archive/" + name, temp / "live" / name);
  GenerationFolder folder(temp / "live");
  install(folder, "one");
  CHECK(whole_set(temp / "live") == "one");
  CHECK(whole_set(temp / "archive") == "lineage");
  folder.activate(folder.previous().value());
  CHECK(whole_set(temp / "live") == "lineage");
}

TEST_CASE("files that were put in the place of our links become a generation before the next one") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  install(folder, "one");
  write_plain_set(temp.path(), "hook");
  install(folder, "two");
  CHECK(whole_set(temp.path()) == "two");
  folder.activate(folder.previous().value());
  CHECK(whole_set(temp.path()) == "hook");
}

TEST_CASE("regular files that appear between preparation and activation are kept as well") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  const fs::path prepared = folder.prepare(files("one"), shared);
  write_plain_set(temp.path(), "late");
  folder.activate(prepared);
  CHECK(whole_set(temp.path()) == "one");
  CHECK(read_plain(folder.previous().value() / "cert.pem") == "late cert.pem");
  install(folder, "two");
  CHECK(whole_set(temp.path()) == "two");
  CHECK(read_plain(folder.previous().value() / "cert.pem") == "one cert.pem");
}

TEST_CASE("a link that leads nowhere is replaced, a folder in the place of a name is refused") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  fs::create_symlink("nowhere", temp / "cert.pem");
  fs::create_symlink("..2026_11_22", temp / "..data");
  CHECK_FALSE(folder.current());
  install(folder, "one");
  CHECK(whole_set(temp.path()) == "one");

  fs::remove(temp / "cert.pem");
  fs::create_directory(temp / "cert.pem");
  CHECK_THROWS_AS(install(folder, "two"), Error);
  CHECK(read(folder, "privkey.pem") == "one privkey.pem");
}

TEST_CASE("a discarded generation is gone, but never one that is needed") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  install(folder, "one");
  install(folder, "two");
  const fs::path prepared = folder.prepare(files("three"), shared);
  folder.discard(prepared);
  CHECK_FALSE(fs::exists(prepared));
  folder.discard(prepared);
  folder.discard(temp / "..1");
  folder.discard(temp / "..2");
  folder.discard(temp.path());
  CHECK(inside(temp.path()) == std::set<std::string>{"..1", "..2", "..data", "..previous"});
}

TEST_CASE("half a generation on its way out does not stop the next one from going") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  const fs::path prepared = folder.prepare(files("one"), shared);
  fs::create_directory(temp / "..1.new");
  write_plain(temp / "..1.new" / "cert.pem", "half");
  folder.discard(prepared);
  CHECK(inside(temp.path()).empty());
}

TEST_CASE("preparing does not remove what a roll-back left as the one before") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  install(folder, "one");
  install(folder, "two");
  folder.activate(temp / "..1");
  folder.prepare(files("three"), shared);
  CHECK(folder.previous() == temp / "..2");
  CHECK(read_plain(temp / "..2" / "cert.pem") == "two cert.pem");
}

TEST_CASE("what crashes left behind goes at the next preparation") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  install(folder, "one");
  fs::create_directory(temp / "..2.new");
  write_plain(temp / "..2.new" / "cert.pem", "half");
  fs::create_symlink("..2", temp / "..link.new");
  fs::create_directory(temp / "..7");
  const fs::path prepared = folder.prepare(files("two"), shared);
  CHECK(prepared == temp / "..8");
  CHECK(inside(temp.path()) == std::set<std::string>{"..1", "..8", "..data"});
}

TEST_CASE("a generation that does not exist cannot be activated") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  install(folder, "one");
  CHECK_THROWS_AS(folder.activate(temp / "..9"), Error);
  CHECK_THROWS_AS(folder.activate(temp / "cert.pem"), Error);
  CHECK(whole_set(temp.path()) == "one");
}

TEST_CASE("a first installation survives a crash at every system call") {
  survives_every_crash([](GenerationFolder&) {}, [](GenerationFolder& folder) { install(folder, "new"); }, "(none)");
}

TEST_CASE("taking over regular files survives a crash at every system call") {
  survives_every_crash([](GenerationFolder& folder) { write_plain_set(folder.path(), "old"); },
                       [](GenerationFolder& folder) { install(folder, "new"); }, "old");
}

TEST_CASE("taking over files in the place of our links survives a crash at every system call") {
  survives_every_crash(
      [](GenerationFolder& folder) {
        install(folder, "ours");
        write_plain_set(folder.path(), "old");
      },
      [](GenerationFolder& folder) { install(folder, "new"); }, "old");
}

TEST_CASE("a switch that removes an old generation survives a crash at every system call") {
  survives_every_crash(
      [](GenerationFolder& folder) {
        for (const char* set : {"a", "b", "c", "old"}) install(folder, set);
      },
      [](GenerationFolder& folder) { install(folder, "new"); }, "old");
}

TEST_CASE("a roll-back survives a crash at every system call") {
  survives_every_crash(
      [](GenerationFolder& folder) {
        install(folder, "new");
        install(folder, "old");
      },
      [](GenerationFolder& folder) { folder.activate(folder.previous().value()); }, "old");
}

TEST_CASE("readers that resolve ..data once never see a torn set, and no name is ever missing") {
  const test::TempDir temp;
  GenerationFolder folder(temp.path());
  write_plain_set(temp.path(), "set0");
  std::atomic<int> switches = 0, torn = 0, missing = 0, seen = 0;
  {
    const auto read_at = [](int directory, const char* name) {
      const FileDescriptor file(::openat(directory, name, O_RDONLY | O_CLOEXEC));
      std::array<char, 100> text{};
      const ssize_t count = file.valid() ? ::read(file.get(), text.data(), text.size()) : 0;
      return std::string(text.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    };
    const std::jthread pair_reader([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        const FileDescriptor data(::open((temp / "..data").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        const std::string cert = read_at(data.get(), "cert.pem");
        const std::string key = read_at(data.get(), "privkey.pem");
        if (cert.empty() || key.empty()) continue;  // Removed three switches later.
        ++seen;
        if (cert.substr(0, cert.find(' ')) != key.substr(0, key.find(' '))) ++torn;
      }
    });
    const std::jthread name_reader([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        const int before = switches;
        const bool found = !read_at(AT_FDCWD, (temp / "cert.pem").c_str()).empty();
        // One that was held up on the way through the links finds its generation removed three switches later.
        if (!found && switches - before < 2) ++missing;
      }
    });
    for (int i = 1; i <= 30 || seen < 100; ++i) {
      switches = i;
      install(folder, "set" + std::to_string(i));
    }
  }
  CHECK(torn == 0);
  CHECK(missing == 0);
}

TEST_CASE("a full disk leaves the current generation and nothing half-made") {
  const test::TempDir temp;
  const std::string failure = test::in_child([&]() -> std::string {
    if (::unshare(CLONE_NEWNS) != 0) return "skip";
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "skip";
    if (::mount("none", temp.path().c_str(), "tmpfs", 0, "size=48k") != 0) return "skip";
    GenerationFolder folder(temp.path());
    install(folder, "one");
    std::vector<GenerationFolder::File> large = files("two");
    large.push_back({"large", Secret(std::string(100000, 'x'))});
    try {
      folder.prepare(large, shared);
      return "nothing was thrown";
    } catch (const Error& error) {
      if (error.message().find("no space left") == std::string::npos) return error.message();
    }
    if (whole_set(temp.path()) != "one") return whole_set(temp.path());
    if (inside(temp.path()) != std::set<std::string>{"..1", "..data"}) return "something was left behind";
    install(folder, "two");
    return whole_set(temp.path()) == "two" ? "" : "the next one failed";
  });
  if (failure == "skip") {
    MESSAGE("skipped: no-mount");
    return;
  }
  CHECK(failure == "");
}
