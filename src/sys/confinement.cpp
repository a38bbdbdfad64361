#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <initializer_list>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/confinement.hpp>
#include <acme_agent/sys/file.hpp>

#include "capabilities.hpp"

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

std::atomic<bool> confined_to_folders = false;

// Capabilities

/// Files of a broker belong to its user, and secrets to root: who may handle them all the same goes on doing so.
constexpr std::uint64_t for_files = bit(CAP_CHOWN) | bit(CAP_DAC_OVERRIDE) | bit(CAP_DAC_READ_SEARCH) | bit(CAP_FOWNER);

/// Those that were given up.
std::uint64_t give_up_capabilities(std::uint64_t needed) {
  for (unsigned capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability)
    if ((needed & bit(capability)) == 0) ::prctl(PR_CAPBSET_DROP, capability);  // as long as there is CAP_SETPCAP
  const std::uint64_t before = capabilities();
  return keep_capabilities(needed) ? before & ~needed : 0;
}

// Landlock

constexpr std::uint64_t refer = 1U << 13;     // LANDLOCK_ACCESS_FS_REFER, since the second version
constexpr std::uint64_t truncate = 1U << 14;  // LANDLOCK_ACCESS_FS_TRUNCATE, since the third

constexpr std::uint64_t granted = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                  LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                  LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                                  LANDLOCK_ACCESS_FS_MAKE_SYM | refer | truncate;
constexpr std::uint64_t never =
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK;

/// Whoever gave us a mount namespace of our own has said there what can be written (systemd, a container). And by
/// Landlock we would lose /proc/PID/root, through which a broker in a container beside us is looked at.
bool files_are_confined_already() {
  const auto first_mount = [](const char* mounts) {
    std::ifstream lines(mounts);
    std::string line;
    std::getline(lines, line);
    return line;  // with an id of its own
  };
  const std::string of_first_process = first_mount("/proc/1/mountinfo");
  return !of_first_process.empty() && of_first_process != first_mount("/proc/self/mountinfo");
}

fs::path next_above(fs::path folder) {
  std::error_code unknown;
  while (!fs::is_directory(folder, unknown) && folder.has_relative_path()) folder = folder.parent_path();
  return folder;
}

/// Invalid where the kernel has none, or a folder cannot be opened.
FileDescriptor make_ruleset(const std::set<fs::path>& folders) {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 2) return FileDescriptor();  // the first refuses each rename from one folder to another
  const std::uint64_t unknown = version < 3 ? truncate : 0;
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = (granted | never) & ~unknown;
  FileDescriptor ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  for (const fs::path& folder : folders) {
    const FileDescriptor opened(::open(next_above(folder).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    landlock_path_beneath_attr rule{};
    rule.allowed_access = granted & ~unknown;
    rule.parent_fd = opened.get();
    if (::syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
      return FileDescriptor();
  }
  return ruleset;
}

// seccomp

#if defined(__x86_64__) && defined(__LP64__)
constexpr std::uint32_t native = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t native = AUDIT_ARCH_AARCH64;
#elif defined(__arm__)
constexpr std::uint32_t native = AUDIT_ARCH_ARM;
#elif defined(__riscv) && __riscv_xlen == 64
constexpr std::uint32_t native = AUDIT_ARCH_RISCV64;
#else
constexpr std::uint32_t native = 0;  // no filter
#endif

/// What we never do: programs, other processes, mounts and namespaces, the kernel itself, and what its bugs like best.
// clang-format off
constexpr int never_called[] = {
    SYS_execve, SYS_execveat, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_pidfd_getfd, SYS_personality,
#ifndef __SANITIZE_ADDRESS__  // its search for leaks
    SYS_ptrace,
#endif
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_setns, SYS_unshare, SYS_open_tree, SYS_move_mount,
    SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr, SYS_open_by_handle_at, SYS_fanotify_init,
    SYS_mknodat,
#ifdef SYS_mknod
    SYS_mknod,
#endif
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load, SYS_reboot, SYS_swapon,
#ifdef SYS_iopl
    SYS_iopl, SYS_ioperm, SYS_modify_ldt,
#endif
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
    SYS_add_key, SYS_request_key, SYS_keyctl, SYS_vmsplice,
};
// clang-format on

constexpr int spoken_families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
constexpr std::uint32_t new_namespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

/// A filter of the kernel's: instructions that end with an answer.
class Filter {
 public:
  Filter& load(std::size_t offset) { return add(BPF_LD | BPF_W | BPF_ABS, offset); }
  Filter& answer(std::uint32_t what) { return add(BPF_RET | BPF_K, what); }
  Filter& if_equal(std::uint32_t value, std::uint32_t what) {
    return add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1).answer(what);
  }
  Filter& if_another(std::uint32_t value, std::uint32_t what) {
    return add(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0).answer(what);
  }
  Filter& if_at_least(std::uint32_t value, std::uint32_t what) {
    return add(BPF_JMP | BPF_JGE | BPF_K, value, 0, 1).answer(what);
  }
  Filter& if_any_of(std::uint32_t bits, std::uint32_t what) {
    return add(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1).answer(what);
  }
  /// `rest` has an answer for everything.
  Filter& if_equal(std::uint32_t value, const Filter& rest) {
    add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, static_cast<std::uint8_t>(rest.code_.size()));
    code_.insert(code_.end(), rest.code_.begin(), rest.code_.end());
    return *this;
  }

  bool install() {
    const sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
    return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
  }

 private:
  Filter& add(int instruction, std::size_t operand, std::uint8_t if_so = 0, std::uint8_t if_not = 0) {
    code_.push_back({static_cast<std::uint16_t>(instruction), if_so, if_not, static_cast<std::uint32_t>(operand)});
    return *this;
  }

  std::vector<sock_filter> code_;
};

bool refuse_calls() {
  if (native == 0) return false;
  const auto refuse = [](int error) { return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error); };
  constexpr std::size_t number = offsetof(seccomp_data, nr);
  constexpr std::size_t first_argument = offsetof(seccomp_data, args);  // its lower half: all are little-endian
  constexpr std::uint32_t x32 = 0x40000000;                             // x86-64's other ABI

  Filter socket;
  socket.load(first_argument);
  for (const int family : spoken_families) socket.if_equal(static_cast<std::uint32_t>(family), SECCOMP_RET_ALLOW);
  socket.answer(refuse(EAFNOSUPPORT));
  Filter clone;
  clone.load(first_argument).if_any_of(new_namespaces, refuse(EPERM)).answer(SECCOMP_RET_ALLOW);

  Filter filter;
  filter.load(offsetof(seccomp_data, arch)).if_another(native, refuse(EPERM));
  filter.load(number).if_at_least(x32, refuse(EPERM));
  for (const int call : never_called) filter.if_equal(static_cast<std::uint32_t>(call), refuse(EPERM));
  filter.if_equal(SYS_clone3, refuse(ENOSYS));  // its flags are out of reach: libc takes clone then
  filter.if_equal(SYS_clone, clone).if_equal(SYS_socket, socket).answer(SECCOMP_RET_ALLOW);
  return filter.install();
}

std::set<fs::path> real(const std::set<fs::path>& folders) {
  std::set<fs::path> all;
  std::error_code unknown;
  for (const fs::path& folder : folders) all.insert(fs::weakly_canonical(folder, unknown));
  return all;
}

bool is_in(fs::path path, const std::set<fs::path>& folders) {
  while (!folders.contains(path) && path.has_relative_path()) path = path.parent_path();
  return folders.contains(path);
}

}  // namespace

Confinement::Confinement(Needs needs) : needs_(std::move(needs)) {
  if (needs_.programs) return;
  const FileDescriptor ruleset = files_are_confined_already() ? FileDescriptor() : make_ruleset(needs_.folders);
  new_privileges_ = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
  folders_ = ruleset.valid() && ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) == 0;
  confined_to_folders = folders_;
  capabilities_ = give_up_capabilities(for_files | (needs_.low_ports ? bit(CAP_NET_BIND_SERVICE) : 0) |
                                       (needs_.signals ? bit(CAP_KILL) : 0));
  calls_ = new_privileges_ && refuse_calls();
}

void Confinement::check(const Needs& wanted) const {
  const auto refuse = [](const std::string& what) {
    throw Error(Remedy::ask_operator, what + ", which this process has given up: restart it");
  };
  if (wanted.programs && (new_privileges_ || folders_ || capabilities_ != 0)) refuse("it has to start programs");
  if (wanted.low_ports && (capabilities_ & bit(CAP_NET_BIND_SERVICE)) != 0)
    refuse("it has to listen on a port below 1024");
  if (wanted.signals && (capabilities_ & bit(CAP_KILL)) != 0) refuse("it has to signal processes");
  std::set<fs::path> given;  // found out where there is something new only
  std::error_code unknown;
  for (const fs::path& folder : wanted.folders) {
    if (!folders_ || needs_.folders.contains(folder)) continue;
    if (given.empty()) given = real(needs_.folders);
    if (!is_in(fs::weakly_canonical(folder, unknown), given))
      refuse("it has to write in " + printable(folder.native()));
  }
}

std::string Confinement::describe() const {
  std::vector<std::string> all;
  if (folders_) all.emplace_back("writing outside its folders");
  if (calls_) all.emplace_back("starting programs and other system calls that it never makes");
  if (capabilities_ != 0) all.emplace_back("capabilities that it does not need");
  return join(all);
}

bool is_confined_to_folders() noexcept {
  return confined_to_folders;
}

}  // namespace acme_agent
