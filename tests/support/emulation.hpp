#pragma once

#include <cstdlib>

namespace acme_agent::test {

/// Under qemu-user (tests/cross.sh), which has no ptrace, shows its own handlers of signals and times of start, and
/// lets no start of a program fail.
inline bool emulated() {
  return std::getenv("EMULATED") != nullptr;
}

}  // namespace acme_agent::test
