#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <iterator>

#include <acme_agent/sys/file.hpp>

#include "child.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
namespace fs = std::filesystem;

namespace {

std::string content_of(const fs::path& path) {
  const std::optional<Secret> content = read_file(path);
  return content ? std::string(content->reveal()) : "(none)";
}

struct stat status_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status;
}

mode_t mode_of(const fs::path& path) {
  return status_of(path).st_mode & 07777;
}

std::size_t count_in(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

/// The Error that `action` throws.
template <class Action>
Error error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  return Error(Remedy::wait, "(nothing was thrown)");
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a file that was written reads back with its mode, whatever the umask") {
  const test::TempDir folder;
  const mode_t before = ::umask(0077);
  write_file(folder / "a", "one", {.uid = {}, .gid = {}, .mode = 0644});
  ::umask(0);
  write_file(folder / "b", "two", {.uid = {}, .gid = {}, .mode = 0600});
  ::umask(before);
  CHECK(content_of(folder / "a") == "one");
  CHECK(mode_of(folder / "a") == 0644);
  CHECK(mode_of(folder / "b") == 0600);
}

TEST_CASE("writing replaces the file and leaves nothing beside it") {
  const test::TempDir folder;
  write_file(folder / "a", "one", {});
  const ino_t before = status_of(folder / "a").st_ino;
  const FileDescriptor reader(::open((folder / "a").c_str(), O_RDONLY | O_CLOEXEC));
  write_file(folder / "a", "two", {});
  CHECK(content_of(folder / "a") == "two");
  CHECK(status_of(folder / "a").st_ino != before);
  CHECK(count_in(folder.path()) == 1);
  char old = 0;
  CHECK(::pread(reader.get(), &old, 1, 0) == 1);
  CHECK(old == 'o');  // Who had it open keeps the old one, whole.
}

TEST_CASE("what a crash left of a write does not stop the next one") {
  const test::TempDir folder;
  create_file(folder / ".a.new", "half", {.uid = {}, .gid = {}, .mode = 0});
  write_file(folder / "a", "whole", {});
  CHECK(content_of(folder / "a") == "whole");
  CHECK(count_in(folder.path()) == 1);
}

TEST_CASE("a written file belongs to whom it was made for") {
  if (::geteuid() != 0) return;
  const test::TempDir folder;
  write_file(folder / "a", "one", {.uid = 65534, .gid = 12345, .mode = 0640});
  CHECK(status_of(folder / "a").st_uid == 65534);
  CHECK(status_of(folder / "a").st_gid == 12345);
  CHECK(mode_of(folder / "a") == 0640);
}

TEST_CASE("a file that cannot be given away is not left behind") {
  if (::geteuid() != 0) return;
  const test::TempDir folder;
  fs::permissions(folder.path(), fs::perms::all);
  const std::string failure = test::in_child([&]() -> std::string {
    if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) return "cannot change user";
    const Error error = error_of([&] { create_file(folder / "a", "x", {.uid = 0, .gid = {}, .mode = 0600}); });
    if (error.remedy() != Remedy::ask_operator) return "wrong remedy: " + error.message();
    if (!contains(error.message(), "cannot give to user 0, as only root can, " + (folder / "a").string()))
      return error.message();
    return {};
  });
  CHECK(failure == "");
  CHECK(count_in(folder.path()) == 0);
}

TEST_CASE("creating a file that exists is refused and changes nothing") {
  const test::TempDir folder;
  create_file(folder / "a", "one", {});
  CHECK(error_of([&] { create_file(folder / "a", "two", {}); }).remedy() == Remedy::ask_operator);
  CHECK(content_of(folder / "a") == "one");
}

TEST_CASE("a link at the place of a new file is not followed") {
  const test::TempDir folder;
  fs::create_symlink(folder / "victim", folder / "a");
  CHECK_THROWS_AS(create_file(folder / "a", "x", {}), Error);
  CHECK_FALSE(fs::exists(folder / "victim"));
}

TEST_CASE("a file that does not exist is nothing, and so is a link that leads nowhere") {
  const test::TempDir folder;
  CHECK_FALSE(read_file(folder / "none"));
  fs::create_symlink("none", folder / "link");
  CHECK_FALSE(read_file(folder / "link"));
}

TEST_CASE("what is no regular file is refused at once") {
  const test::TempDir folder;
  CHECK(contains(error_of([&] { read_file(folder.path()); }).message(), "it is a folder"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(contains(error_of([&] { read_file(folder / "pipe"); }).message(), "not a regular file"));
  create_file(folder / "a", "", {});
  const Error error = error_of([&] { read_file(folder / "a" / "b"); });
  CHECK(error.remedy() == Remedy::ask_operator);
  CHECK(contains(error.message(), "not a folder"));
}

TEST_CASE("a file up to the limit is read and one byte more refused") {
  const test::TempDir folder;
  create_file(folder / "a", std::string(10000, 'x'), {});
  CHECK(read_file(folder / "a", 10000)->reveal().size() == 10000);
  CHECK(error_of([&] { read_file(folder / "a", 9999); }).remedy() == Remedy::ask_operator);
}

TEST_CASE("folders are made with all their parents, and existing ones left alone") {
  const test::TempDir folder;
  fs::create_directory(folder / "a");
  fs::permissions(folder / "a", fs::perms::owner_all);
  const mode_t before = ::umask(0077);
  make_folder(folder / "a" / "b" / "c", 0711);
  ::umask(before);
  CHECK(mode_of(folder / "a") == 0700);
  CHECK(mode_of(folder / "a" / "b") == 0711);
  CHECK(mode_of(folder / "a" / "b" / "c") == 0711);
  make_folder(folder / "a" / "b" / "c", 0700);
  CHECK(mode_of(folder / "a" / "b" / "c") == 0711);
  make_folder((folder / "d").string() + "/", 0700);
  CHECK(fs::is_directory(folder / "d"));
}

TEST_CASE("a folder cannot be made where something else is") {
  const test::TempDir folder;
  create_file(folder / "a", "", {});
  CHECK(error_of([&] { make_folder(folder / "a", 0700); }).remedy() == Remedy::ask_operator);
  CHECK(error_of([&] { make_folder(folder / "a" / "b", 0700); }).remedy() == Remedy::ask_operator);
  fs::create_symlink("nowhere", folder / "link");
  CHECK(error_of([&] { make_folder(folder / "link", 0700); }).remedy() == Remedy::ask_operator);
}

TEST_CASE("a full disk keeps the old file and says how to mend it") {
  const test::TempDir folder;
  const std::string failure = test::in_child([&]() -> std::string {
    if (::unshare(CLONE_NEWNS) != 0) return "skip";
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "skip";
    if (::mount("none", folder.path().c_str(), "tmpfs", 0, "size=16k") != 0) return "skip";
    write_file(folder / "a", "old", {});
    const Error error = error_of([&] { write_file(folder / "a", std::string(100000, 'x'), {}); });
    if (error.remedy() != Remedy::retry) return "wrong remedy: " + error.message();
    if (!contains(error.message(), "no space left on the file system that holds")) return error.message();
    if (content_of(folder / "a") != "old") return "the old content is gone";
    if (count_in(folder.path()) != 1) return "something was left behind";
    write_file(folder / "a", "new", {});
    return content_of(folder / "a") == "new" ? "" : "the next write failed";
  });
  if (failure == "skip") {
    MESSAGE("skipped: no-mount");
    return;
  }
  CHECK(failure == "");
}

TEST_CASE("a read-only file system is the operator's business") {
  const test::TempDir folder;
  const std::string failure = test::in_child([&]() -> std::string {
    if (::unshare(CLONE_NEWNS) != 0) return "skip";
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "skip";
    if (::mount("none", folder.path().c_str(), "tmpfs", MS_RDONLY, "") != 0) return "skip";
    const Error error = error_of([&] { write_file(folder / "a", "x", {}); });
    return error.remedy() == Remedy::ask_operator && contains(error.message(), "read-only") ? "" : error.message();
  });
  if (failure == "skip") {
    MESSAGE("skipped: no-mount");
    return;
  }
  CHECK(failure == "");
}

TEST_CASE("causes that pass by themselves are tried again, others wait for the operator") {
  for (const int error : {EACCES, EPERM, EROFS, ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG}) {
    CHECK(error_of([&] { throw_errno("cannot write", "/x", error); }).remedy() == Remedy::ask_operator);
  }
  for (const int error : {ENOSPC, EDQUOT, EIO, EMFILE, ENFILE, EBUSY}) {
    CHECK(error_of([&] { throw_errno("cannot write", "/x", error); }).remedy() == Remedy::retry);
  }
  CHECK(error_of([] { throw_errno("cannot write", "/x\n", EBUSY); }).message() ==
        "cannot write /x\\n: device or resource busy");
}

TEST_CASE("an owner is a user and perhaps a group, by name or number") {
  CHECK(parse_owner("root", 0640) == Ownership{.uid = 0, .gid = {}, .mode = 0640});
  CHECK(parse_owner("root:root", 0640) == Ownership{.uid = 0, .gid = 0, .mode = 0640});
  CHECK(parse_owner("4242:2424", 0600) == Ownership{.uid = 4242, .gid = 2424, .mode = 0600});
}

TEST_CASE("an unknown owner is refused by name") {
  for (const char* text : {"", ":", "root:", ":root", "no-such-user", "root:no-such-group", "4294967295", "-1", "0x10",
                           "99999999999999999999", "root:root:root"}) {
    CAPTURE(text);
    const Error error = error_of([&] { parse_owner(text, 0600); });
    CHECK(error.remedy() == Remedy::ask_operator);
    CHECK(contains(error.message(), "'" + std::string(text) + "' is not an owner"));
  }
}

TEST_CASE("a descriptor is closed by its last owner only") {
  FileDescriptor first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int number = first.get();
  FileDescriptor second(std::move(first));
  CHECK_FALSE(first.valid());  // NOLINT(bugprone-use-after-move): this is the promise.
  CHECK(::fcntl(number, F_GETFD) == FD_CLOEXEC);
  second = FileDescriptor();
  CHECK(::fcntl(number, F_GETFD) == -1);
}
