#pragma once

#include <cmath>
#include <cstdint>

#include <acme_agent/base/clock.hpp>

namespace acme_agent::sim {

/// The same numbers for the same seed, everywhere (SplitMix64).
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t bits = (state_ += 0x9e3779b97f4a7c15u);
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    return bits ^ (bits >> 31);
  }

  /// From 0 to 1.
  double share() { return static_cast<double>(next() >> 11) / 9007199254740992.0; }
  bool chance(double share_of_yes) { return share() < share_of_yes; }
  /// From 0 to `count` - 1.
  int below(int count) { return static_cast<int>(share() * count); }
  Duration between(Duration shortest, Duration longest) {
    return shortest + std::chrono::duration_cast<Duration>((longest - shortest) * share());
  }
  /// Each order of magnitude as likely as any other.
  Duration around(Duration shortest, Duration longest) {
    const double ratio = static_cast<double>(longest.count()) / static_cast<double>(shortest.count());
    return Duration(static_cast<Duration::rep>(static_cast<double>(shortest.count()) * std::pow(ratio, share())));
  }
  /// Until something that happens so often happens again.
  Duration until_next(double per_year) {
    const double years = -std::log(1 - share()) / per_year;
    return Duration(static_cast<Duration::rep>(years * 31'557'600'000.0));
  }

 private:
  std::uint64_t state_;
};

}  // namespace acme_agent::sim
