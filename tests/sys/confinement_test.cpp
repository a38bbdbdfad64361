#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include <acme_agent/sys/confinement.hpp>
#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/processes.hpp>

#include "child.hpp"
#include "support/temp_dir.hpp"

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

#ifdef __SANITIZE_ADDRESS__
constexpr bool searches_for_leaks = true;
#else
constexpr bool searches_for_leaks = false;
#endif

/// A line of /proc/self/status.
std::string own(const std::string& key) {
  std::ifstream lines("/proc/thread-self/status");
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(key + ":\t")) return line.substr(key.size() + 2);
  return "none";
}

std::uint64_t capabilities(const std::string& kind) {
  return std::stoull(own(kind), nullptr, 16);
}

constexpr std::uint64_t bit(unsigned capability) {
  return std::uint64_t{1} << capability;
}

std::string expect(bool holds, const std::string& what) {
  return holds ? "" : what + " (errno " + std::to_string(errno) + ")\n";
}

/// The answer of the kernel, 0 for good.
int answer(long result) {
  return result < 0 ? errno : 0;
}

bool has_landlock() {
  const auto first_mount = [](const char* mounts) {
    std::ifstream lines(mounts);
    std::string line;
    std::getline(lines, line);
    return line;
  };
  return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1) >= 2 &&
         first_mount("/proc/1/mountinfo") == first_mount("/proc/self/mountinfo");
}

int try_to_create(const fs::path& file) {
  const FileDescriptor made(::open(file.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
  return made.valid() ? 0 : errno;
}

struct Folders {
  test::TempDir folder;
  fs::path ours = folder / "ours";
  fs::path others = folder / "others";

  Folders() {
    fs::create_directory(ours);
    fs::create_directory(others);
    std::ofstream(others / "file") << "old";
  }
};

}  // namespace

TEST_CASE("who is confined to folders writes there as before, and nowhere else, and reads everything") {
  if (!has_landlock()) {
    MESSAGE("skipped: no-landlock");
    return;
  }
  const Folders at;
  CHECK(test::in_child([&]() -> std::string {
          const Confinement confinement({.folders = {at.ours}});
          std::string wrong;
          fs::create_directories(at.ours / "a" / "b");
          write_file(at.ours / "a" / "file", "new", Ownership{});
          write_file(at.ours / "a" / "file", "newer", Ownership{});
          fs::rename(at.ours / "a" / "file", at.ours / "file");  // from folder to folder
          fs::create_symlink("file", at.ours / "link");
          wrong += expect(::truncate((at.ours / "file").c_str(), 1) == 0, "truncate");
          fs::remove_all(at.ours / "a");
          wrong += expect(read_file(at.others / "file")->reveal() == "old", "read elsewhere");

          wrong += expect(try_to_create(at.others / "made") == EACCES, "make a file elsewhere");
          wrong += expect(answer(::open((at.others / "file").c_str(), O_WRONLY)) == EACCES, "write elsewhere");
          wrong += expect(answer(::truncate((at.others / "file").c_str(), 0)) == EACCES, "truncate elsewhere");
          wrong += expect(answer(::unlink((at.others / "file").c_str())) == EACCES, "remove elsewhere");
          wrong += expect(answer(::mkdir((at.others / "new").c_str(), 0700)) == EACCES, "make a folder elsewhere");
          wrong += expect(answer(::rename((at.ours / "file").c_str(), (at.others / "new").c_str())) == EACCES,
                          "move a file elsewhere");
          wrong += expect(answer(::symlink("file", (at.others / "link").c_str())) == EACCES, "make a link elsewhere");
          return wrong;
        }) == "");
}

TEST_CASE("a write that fails since the folder is another one now says that a restart helps") {
  if (!has_landlock()) return;
  const Folders at;
  CHECK(test::in_child([&]() -> std::string {
          const Confinement confinement({.folders = {at.ours}});
          try {
            write_file(at.others / "file", "new", Ownership{});
          } catch (const Error& error) {
            return expect(error.message().find("restart it") != std::string::npos, error.message());
          }
          return "written";
        }) == "");
}

TEST_CASE("a read that fails is no matter of where an agent may write") {
  if (!has_landlock() || ::geteuid() != 0) return;
  const Folders at;
  fs::permissions(at.folder.path(), fs::perms(0711));
  fs::permissions(at.others / "file", fs::perms(0600));
  CHECK(test::in_child([&]() -> std::string {
          if (::setresuid(4444, 4444, 4444) != 0) return "cannot be another user";
          const Confinement confinement({.folders = {at.ours}});
          try {
            read_file(at.others / "file");
          } catch (const Error& error) {
            return expect(is_confined_to_folders(), "Landlock") +
                   expect(error.message().ends_with("permission denied to user 4444"), error.message());
          }
          return "read";
        }) == "");
}

TEST_CASE("a folder that is not there yet can be made") {
  if (!has_landlock()) return;
  const Folders at;
  CHECK(test::in_child([&]() -> std::string {
          const Confinement confinement({.folders = {at.ours / "a" / "b"}});
          fs::create_directories(at.ours / "a" / "b");
          return expect(try_to_create(at.ours / "a" / "b" / "file") == 0, "write in it") +
                 expect(try_to_create(at.others / "file2") == EACCES, "write elsewhere");
        }) == "");
}

TEST_CASE("who is confined can start no program, trace nobody, mount nothing and make no namespace") {
  CHECK(test::in_child([]() -> std::string {
          const Confinement confinement({});
          std::string wrong;
          const auto refused = [&wrong](const std::string& what, long result) {
            wrong += expect(answer(result) == EPERM, what);
          };
          char* const argv[] = {const_cast<char*>("/bin/true"), nullptr};
          refused("execve", ::execve(argv[0], argv, argv + 1));
          if (!searches_for_leaks) refused("ptrace", ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr));
          refused("mount", ::mount("none", "/mnt", "tmpfs", 0, nullptr));
          refused("unshare", ::unshare(CLONE_NEWUSER));
          refused("clone", ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
          refused("bpf", ::syscall(SYS_bpf, 0, nullptr, 0));
          refused("io_uring_setup", ::syscall(SYS_io_uring_setup, 1, nullptr));
          refused("keyctl", ::syscall(SYS_keyctl, 0, 0, 0, 0, 0));
          wrong += expect(answer(::socket(AF_VSOCK, SOCK_STREAM, 0)) == EAFNOSUPPORT, "a strange socket");
          for (const int family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK})
            wrong += expect(FileDescriptor(::socket(family, SOCK_DGRAM, 0)).valid(), "socket of a usual family");
          std::thread([] {}).join();
          try {
            SystemProcesses().run({"true"}, {}, std::chrono::seconds(5), {});
            wrong += "a program was run\n";
          } catch (const Error&) {
          }
          return wrong + expect(own("NoNewPrivs") == "1" && own("Seccomp") == "2", "the kernel does not know of it");
        }) == "");
}

TEST_CASE("a thread that starts later is confined as well") {
  CHECK(test::in_child([]() -> std::string {
          const Confinement confinement({});
          std::string wrong;
          std::thread([&wrong] { wrong = expect(answer(::unshare(CLONE_NEWNS)) == EPERM, "unshare"); }).join();
          return wrong;
        }) == "");
}

TEST_CASE("root keeps the capabilities that are needed and no others, for good") {
  if (::geteuid() != 0) return;
  constexpr std::uint64_t files = bit(CAP_CHOWN) | bit(CAP_DAC_OVERRIDE) | bit(CAP_DAC_READ_SEARCH) | bit(CAP_FOWNER);
  const auto left = [](const Needs& needs, std::uint64_t expected) {
    return test::in_child([&]() -> std::string {
      const Confinement confinement(needs);
      std::string wrong;
      for (const char* kind : {"CapEff", "CapPrm", "CapBnd"})
        wrong += expect(capabilities(kind) == expected, kind + (" is " + own(kind)));
      for (const char* kind : {"CapInh", "CapAmb"}) wrong += expect(capabilities(kind) == 0, kind);
      return wrong;
    });
  };
  CHECK(left({}, files) == "");
  CHECK(left({.low_ports = true}, files | bit(CAP_NET_BIND_SERVICE)) == "");
  CHECK(left({.signals = true}, files | bit(CAP_KILL)) == "");
}

TEST_CASE("a service user with a capability of its own keeps it where it is needed") {
  if (::geteuid() != 0) return;
  const auto left = [](bool low_ports) {
    return test::in_child([&]() -> std::string {
      ::prctl(PR_SET_KEEPCAPS, 1);
      if (::setresgid(4444, 4444, 4444) != 0 || ::setresuid(4444, 4444, 4444) != 0) return "cannot be another user";
      __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
      __user_cap_data_struct words[2] = {{.effective = 0, .permitted = 1U << CAP_NET_BIND_SERVICE, .inheritable = 0},
                                         {}};
      words[0].inheritable = words[0].effective = words[0].permitted;
      if (::syscall(SYS_capset, &header, words) != 0) return "cannot give up the rest";
      if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) != 0) return "no ambient ones";
      const Confinement confinement({.low_ports = low_ports});
      return own("CapEff") + own("CapAmb");
    });
  };
  CHECK(left(true) ==
        "0000000000000400"
        "0000000000000000");
  CHECK(left(false) ==
        "0000000000000000"
        "0000000000000000");
}

TEST_CASE("who starts programs gives nothing up, as they would inherit that") {
  CHECK(test::in_child([]() -> std::string {
          const std::string before = own("CapBnd") + own("CapEff");
          const Confinement confinement({.programs = true});
          return expect(own("NoNewPrivs") == "0" && own("Seccomp") == "0", "something is given up") +
                 expect(own("CapBnd") + own("CapEff") == before, "capabilities") +
                 expect(SystemProcesses().run({"true"}, {}, std::chrono::seconds(5), {}).exit_code == 0, "no program") +
                 expect(confinement.describe().empty(), "something is said");
        }) == "");
}

TEST_CASE("programs take a restart also where the kernel has no seccomp, as they would inherit the rest") {
  CHECK(test::in_child([]() -> std::string {
          sock_filter without_seccomp[] = {
              BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
              BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SECCOMP, 0, 1),
              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
          };
          const sock_fprog filter{6, without_seccomp};
          ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
          if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) return "";  // has none
          const Confinement confinement({});
          try {
            confinement.check({.programs = true});
          } catch (const Error& error) {
            return expect(error.message().find("start programs") != std::string::npos, error.message());
          }
          return "not refused";
        }) == "");
}

TEST_CASE("what was given up and is needed all the same takes a restart") {
  const Folders at;
  const Needs needs{.low_ports = true, .signals = true, .folders = {at.ours}};
  CHECK(test::in_child([&]() -> std::string {
          const Confinement confinement(needs);
          const auto refusal = [&](const auto& change) -> std::string {
            Needs wanted = needs;
            change(wanted);
            try {
              confinement.check(wanted);
              return "";
            } catch (const Error& error) {
              return error.message();
            }
          };
          const auto contains = [](const std::string& text, const std::string& part) {
            return text.find(part) != std::string::npos;
          };
          std::string wrong = refusal([](Needs&) {}) + refusal([](Needs& n) { n.low_ports = n.signals = false; });
          wrong += refusal([&](Needs& n) { n.folders = {at.ours / "new" / "one", at.ours}; });
          fs::create_symlink(at.ours, at.ours / "link");
          wrong += refusal([&](Needs& n) { n.folders = {at.ours / "link" / "new"}; });
          const std::string program = refusal([](Needs& n) { n.programs = true; });
          wrong += expect(contains(program, "start programs") && contains(program, "restart"), program);
          if (has_landlock()) {
            const std::string folder = refusal([&](Needs& n) { n.folders.insert(at.others); });
            wrong += expect(contains(folder, at.others.native()), folder);
          }
          return wrong;
        }) == "");
  if (::geteuid() != 0) return;
  CHECK(test::in_child([&]() -> std::string {
          const Confinement confinement({.folders = {at.ours}});
          for (const Needs& wanted : {Needs{.low_ports = true}, Needs{.signals = true}}) try {
              confinement.check(wanted);
              return "nothing is refused";
            } catch (const Error&) {
            }
          return "";
        }) == "");
}

}  // namespace acme_agent
