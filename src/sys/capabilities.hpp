#pragma once

#include <linux/capability.h>

#include <cstdint>

namespace acme_agent {

constexpr std::uint64_t bit(unsigned capability) {
  return std::uint64_t{1} << capability;
}

/// Those that this thread has.
std::uint64_t capabilities() noexcept;

/// Keeps those of `kept` that this thread has, for itself alone: a program inherits none. False if the system does not
/// let us.
bool keep_capabilities(std::uint64_t kept) noexcept;

}  // namespace acme_agent
