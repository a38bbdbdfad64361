#pragma once

#include <cstdint>
#include <string>

#include <acme_agent/base/clock.hpp>

namespace acme_agent::sim {

struct Result {
  std::string verdict;  ///< What went wrong, one sentence; empty: nothing.
  int passes = 0;
  int requests = 0;
  int issued = 0;
  int expired = 0;  ///< Certificates that the faults let expire, as they lasted too long.
  int crashes = 0;
};

/// One broker, one agent and their servers, for so long.
Result simulate(std::uint64_t seed, Duration length, double trouble, bool verbose);

}  // namespace acme_agent::sim
