#include <algorithm>
#include <array>
#include <cstdint>

#include <acme_agent/agent/planner.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

TimePoint plan_renewal(const Validity& validity, double spread) {
  const Duration lifetime = validity.lifetime();
  const Duration share = lifetime < 240h ? lifetime / 2 : lifetime / 3;
  const Duration earlier(static_cast<Duration::rep>(static_cast<double>(lifetime.count()) / 50 * spread));
  return validity.not_after - share - earlier;
}

double spread_of(std::string_view name) {
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a: std::hash may differ between builds
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return static_cast<double>((hash ^ (hash >> 32)) % 10'000) / 10'000.0;
}

Duration wait_after_failure(int failures, const std::optional<Validity>& validity, TimePoint now) {
  constexpr std::array<Duration, 4> ladder{1min, 10min, 100min, 24h};
  Duration wait = ladder.at(static_cast<std::size_t>(std::clamp(failures, 1, 4) - 1));
  if (!validity) return wait;
  wait = std::min(wait, validity->lifetime() / 10);
  if (now < validity->not_after) {
    const Duration at_least = std::min<Duration>(10min, validity->lifetime() / 100);
    wait = std::min(wait, std::max((validity->not_after - now) / 2, at_least));
  }
  return std::max<Duration>(wait, 1s);
}

Duration wait_after_deployment(int failures, bool operator_needed) {
  const int doublings = std::clamp(failures - 1, 0, 10);
  if (operator_needed) return std::min<Duration>(10s * (1 << doublings), 10min);
  return std::min<Duration>(1s * (1 << doublings), 8s);
}

}  // namespace acme_agent
