#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>

#include <acme_agent/base/error.hpp>

namespace acme_agent {

/// What a process needs of its rights. It reads whatever it may read.
struct Needs {
  bool programs = false;   ///< To start some. They inherit what is given up, so that nothing can be.
  bool low_ports = false;  ///< To listen on ports below 1024.
  bool signals = false;    ///< To signal processes of other users.
  /// To write in, at any depth. One that is not there yet takes the next above.
  std::set<std::filesystem::path> folders = {};
};

/// The rights that this process has given up for good, as far as the kernel has what that takes: capabilities, system
/// calls that it never makes (seccomp, no_new_privs) and writing elsewhere (Landlock). What fails is left out: a
/// certificate that expires is worse.
class Confinement {
 public:
  /// For this thread and all that it starts: call it before the first one.
  explicit Confinement(Needs needs);

  /// Throws Error (ask_operator) if that needs what is given up.
  void check(const Needs& wanted) const;

  /// What is given up, for the log.
  std::string describe() const;

 private:
  Needs needs_;
  std::uint64_t capabilities_ = 0;  ///< Those that were given up.
  bool new_privileges_ = false;
  bool calls_ = false;
  bool folders_ = false;
};

/// Whether there is a Confinement to folders in this process.
bool is_confined_to_folders() noexcept;

}  // namespace acme_agent
