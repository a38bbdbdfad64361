#pragma once

#include <cstdint>

namespace acme_agent::sim {

/// From now on OpenSSL's random numbers follow from the seed.
void seed_random_bytes(std::uint64_t seed);

}  // namespace acme_agent::sim
