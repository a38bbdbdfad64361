#include <doctest/doctest.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include <acme_agent/sys/confinement.hpp>
#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/identity.hpp>

#include "child.hpp"
#include "support/temp_dir.hpp"

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

constexpr uid_t nobody_here = 44444;  // without an entry in /etc/passwd

/// A folder of theirs in one that everybody may enter, and a file for root alone.
struct Place {
  explicit Place(uid_t uid, gid_t gid) {
    fs::permissions(folder.path(), fs::perms{0711});
    fs::create_directory(theirs);
    std::ofstream(roots) << "secret";
    fs::permissions(roots, fs::perms{0600});
    if (::chown(theirs.c_str(), uid, gid) != 0) throw std::runtime_error("chown failed");
  }

  test::TempDir folder;
  fs::path theirs = folder / "state";
  fs::path roots = folder / "secret";
};

std::string status_line(const std::string& key) {
  std::ifstream lines("/proc/self/status");
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(key + ":\t")) return line.substr(key.size() + 2);
  return "none";
}

}  // namespace

TEST_CASE("root becomes the owner of a folder for good, reads everything and leaves nothing of its own there") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: needs to be root");
    return;
  }
  const Place place(nobody_here, 5555);
  CHECK(test::in_child([&]() -> std::string {
          if (become_owner_of(place.theirs) != "44444") return "another name";
          std::string wrong;
          if (status_line("Uid") != "44444\t44444\t44444\t44444") wrong += "Uid " + status_line("Uid") + "\n";
          if (status_line("Gid") != "5555\t5555\t5555\t5555") wrong += "Gid " + status_line("Gid") + "\n";
          if (status_line("Groups") != " ") wrong += "Groups '" + status_line("Groups") + "'\n";
          // CAP_CHOWN 0, CAP_DAC_READ_SEARCH 2, CAP_KILL 5, CAP_NET_BIND_SERVICE 10
          for (const char* kind : {"CapEff", "CapPrm"})
            if (status_line(kind) != "0000000000000425") wrong += kind + (" " + status_line(kind)) + "\n";
          if (::setresuid(0, 0, 0) == 0 || ::seteuid(0) == 0) wrong += "it can go back\n";
          write_file(place.theirs / "made", "x", Ownership{});
          struct stat status {};
          ::stat((place.theirs / "made").c_str(), &status);
          if (status.st_uid != nobody_here) wrong += "the file belongs to another\n";
          if (read_file(place.roots)->reveal() != "secret") wrong += "the secret cannot be read\n";
          try {
            write_file(place.roots, "x", Ownership{});
            wrong += "the secret can be written\n";
          } catch (const Error&) {
          }
          return wrong;
        }) == "");
}

TEST_CASE("a user who is known by name gets the groups of that name") {
  const passwd* user = ::getpwnam("daemon");
  if (::geteuid() != 0 || user == nullptr) return;
  const Place place(user->pw_uid, 0);
  const gid_t gid = user->pw_gid;
  CHECK(test::in_child([&]() -> std::string {
          if (become_owner_of(place.theirs) != "daemon") return "another name";
          return ::getegid() == gid && status_line("Groups").find(std::to_string(gid)) != std::string::npos
                     ? ""
                     : "other groups: " + status_line("Groups");
        }) == "");
}

TEST_CASE("nobody else becomes anybody, and root stays root where the folder is root's or not there") {
  const test::TempDir folder;
  CHECK(test::in_child([&]() -> std::string {
          if (become_owner_of(folder.path()) || become_owner_of(folder / "none")) return "somebody";
          if (::geteuid() != 0) return "";
          const Place place(nobody_here, 5555);
          if (::setresuid(4444, 4444, 4444) != 0) return "setresuid";
          return become_owner_of(place.theirs) ? "somebody else" : "";
        }) == "");
}

TEST_CASE("root that cannot become the owner is told to run as them") {
  if (::geteuid() != 0) return;
  const Place place(nobody_here, 5555);
  CHECK(test::in_child([&]() -> std::string {
          const Confinement without_setuid({});
          try {
            become_owner_of(place.theirs);
            return "became them";
          } catch (const Error& error) {
            const std::string text = error.message();
            return text.find("44444") != std::string::npos && text.find("run as that user") != std::string::npos ? ""
                                                                                                                 : text;
          }
        }) == "");
}

}  // namespace acme_agent
