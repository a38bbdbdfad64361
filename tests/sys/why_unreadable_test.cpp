#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>

#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/processes.hpp>

#include "child.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
namespace fs = std::filesystem;

namespace {

/// A file in two folders, all readable for everybody; as root, it belongs to 1001:2001.
struct Tree {
  test::TempDir temp;
  fs::path outer = temp / "outer";
  fs::path inner = outer / "inner";
  fs::path file = inner / "file";
  Process reader;
  uid_t owner = ::geteuid() == 0 ? 1001 : ::geteuid();
  gid_t group = ::geteuid() == 0 ? 2001 : ::getegid();

  Tree() {
    ::chmod(temp.path().c_str(), 0755);
    fs::create_directories(inner);
    create_file(file, "x", {});
    for (const fs::path& path : {outer, inner, file}) {
      set(path, 0755);
      if (::geteuid() == 0) REQUIRE(::chown(path.c_str(), owner, group) == 0);
    }
    reader.uid = 4000;
    reader.gid = 4000;
  }
  static void set(const fs::path& path, mode_t mode) { REQUIRE(::chmod(path.c_str(), mode) == 0); }
  std::string why() const { return why_unreadable(reader, file, temp.path()).value_or(""); }
  bool says(const std::string& start) const {
    const std::string reason = why();
    CAPTURE(reason);
    const bool right = reason.starts_with(start);
    CHECK(right);
    return right;
  }
};

}  // namespace

TEST_CASE("a file that everybody may read is readable") {
  CHECK(Tree().why() == "");
}

TEST_CASE("a stranger is stopped by the file or by any folder above it, by name") {
  Tree t;
  Tree::set(t.file, 0640);
  CHECK(t.says("user 4000 may not read " + t.file.string()));
  Tree::set(t.inner, 0754);
  CHECK(t.says("user 4000 may not enter " + t.inner.string()));
  Tree::set(t.outer, 0700);
  CHECK(t.says("user 4000 may not enter " + t.outer.string()));
  CHECK(t.why().find("mode 0700") != std::string::npos);
}

TEST_CASE("folders that can be passed but not listed are no obstacle") {
  Tree t;
  Tree::set(t.outer, 0711);
  Tree::set(t.inner, 0711);
  CHECK(t.why() == "");
}

TEST_CASE("the main group and a supplementary one both count") {
  Tree t;
  Tree::set(t.file, 0640);
  t.reader.gid = t.group;
  CHECK(t.why() == "");
  t.reader.gid = 4000;
  t.reader.groups = {1, t.group, 7};
  CHECK(t.why() == "");
  t.reader.groups = {1, 7};
  CHECK(t.why() != "");
}

TEST_CASE("only the first class that matches decides") {
  Tree t;
  Tree::set(t.file, 0604);
  t.reader.gid = t.group;
  CHECK(t.why() != "");
  Tree::set(t.file, 0044);
  t.reader.uid = t.owner;
  CHECK(t.why() != "");
  Tree::set(t.file, 0400);
  CHECK(t.why() == "");
}

TEST_CASE("who reads everything is stopped only by what does not exist") {
  Tree t;
  Tree::set(t.file, 0);
  Tree::set(t.outer, 0);
  t.reader.reads_everything = true;
  CHECK(t.why() == "");
  Tree::set(t.outer, 0700);
  fs::remove(t.file);
  CHECK(t.why() == t.file.string() + " does not exist");
}

TEST_CASE("links are followed, and the folders that they lead through count") {
  Tree t;
  fs::create_directory(t.temp / "names");
  Tree::set(t.temp / "names", 0755);
  for (const std::string& target :
       {t.file.string(), std::string("../outer/inner/file"), std::string("./.././names/../outer//inner/file")}) {
    CAPTURE(target);
    const fs::path link = t.temp / "names" / "link";
    fs::remove(link);
    fs::create_symlink(target, link);
    Tree::set(t.inner, 0755);
    CHECK_FALSE(why_unreadable(t.reader, link, t.temp.path()));
    Tree::set(t.inner, 0700);
    CHECK(why_unreadable(t.reader, link, t.temp.path())
              .value_or("")
              .starts_with("user 4000 may not enter " + t.inner.string()));
  }
  fs::create_symlink("loop", t.temp / "loop");
  CHECK(why_unreadable(t.reader, t.temp / "loop", t.temp.path()).value_or("").find("too many") != std::string::npos);
}

TEST_CASE("in a container only what it sees counts") {
  Tree t;
  Tree::set(t.outer, 0700);
  t.reader.sees_our_paths = false;
  CHECK_FALSE(why_unreadable(t.reader, t.file, t.inner));
  CHECK(why_unreadable(t.reader, t.file, t.outer));
  Tree::set(t.inner, 0700);
  CHECK(why_unreadable(t.reader, t.file, t.inner));
  t.reader.sees_our_paths = true;
  Tree::set(t.inner, 0755);
  CHECK(why_unreadable(t.reader, t.file, t.inner));
}

TEST_CASE("a file with an ACL counts as readable") {
  Tree t;
  Tree::set(t.file, 0600);
  // Version 2; user::rw-, user:4000:r--, group::---, mask::r--, other::---.
  const std::array<unsigned char, 44> acl = {2, 0,    0,    0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
                                             0, 0xa0, 0x0f, 0,   0,   4,   0,  0, 0,   255, 255, 255, 255, 16, 0,
                                             4, 0,    255,  255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};
  if (::setxattr(t.file.c_str(), "system.posix_acl_access", acl.data(), acl.size(), 0) != 0) {
    MESSAGE("skipped: no-acl");
    return;
  }
  CHECK(t.why() == "");
}

TEST_CASE("the verdict is that of the kernel for every mode, owner and group") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: needs to be root");
    return;
  }
  const Tree t;
  struct Reader {
    uid_t uid;
    gid_t gid;
    std::vector<gid_t> groups;
  };
  for (const Reader& reader :
       {Reader{1001, 9, {}}, Reader{4000, 2001, {}}, Reader{4000, 9, {5, 2001}}, Reader{4000, 9, {5}}}) {
    const std::string failure = test::in_child([&]() -> std::string {
      if (::setgroups(reader.groups.size(), reader.groups.data()) != 0 || ::setegid(reader.gid) != 0)
        return "setgroups";
      Process process;
      process.uid = reader.uid;
      process.gid = reader.gid;
      process.groups = reader.groups;
      for (mode_t folder_mode = 0; folder_mode < 01000; folder_mode += 0111 / 3 + 1) {
        for (mode_t file_mode = 0; file_mode < 01000; file_mode += 4) {
          ::chmod(t.inner.c_str(), folder_mode);
          ::chmod(t.file.c_str(), file_mode);
          const bool judged = !why_unreadable(process, t.file, t.temp.path());
          if (::seteuid(reader.uid) != 0) return "seteuid";
          const bool opened = FileDescriptor(::open(t.file.c_str(), O_RDONLY | O_CLOEXEC)).valid();
          if (::seteuid(0) != 0) return "seteuid";
          if (judged != opened)
            return "wrong for folder mode " + std::to_string(folder_mode) + ", file mode " + std::to_string(file_mode);
        }
      }
      return {};
    });
    CHECK(failure == "");
  }
}
