#pragma once

#include <cstdint>
#include <string>

#include <acme_agent/base/clock.hpp>

#include "household.hpp"

namespace acme_agent::sim {

struct Result {
  std::string verdict;  ///< What went wrong, one sentence; empty: nothing.
  int passes = 0;
  int requests = 0;
  int issued = 0;
  int expired = 0;  ///< Certificates that the faults let expire, as they lasted too long.
  int crashes = 0;
  HouseholdCounts household{};  ///< With our own authority.
};

/// How a life is played.
struct Life {
  Duration length;
  double trouble = 1;
  bool local = false;  ///< The certificate comes from our own authority, and devices have some of it.
  bool verbose = false;
};

/// One broker, one agent and their servers.
Result simulate(std::uint64_t seed, const Life& life);

}  // namespace acme_agent::sim
