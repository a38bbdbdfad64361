#include <acme_agent/agent/held_stays.hpp>
#include <acme_agent/agent/known_servers.hpp>

namespace acme_agent {

std::optional<std::string> why_held_stays(const Held& held, const Held& offered, TimePoint now) {
  const Certificate& ours = held.pair.chain.leaf();
  const Certificate& theirs = offered.pair.chain.leaf();
  const bool usable = theirs.validity().contains(now);
  if (!ours.validity().contains(now)) {
    if (usable || theirs.validity().not_after > ours.validity().not_after) return std::nullopt;
    return "ended before the one held";
  }
  if (!usable) return "is not valid now";
  if (is_staging(offered.server) && !is_staging(held.server)) return "is one for tests only";
  if (!same_names(ours.identifiers(), theirs.identifiers())) return "is for other names";
  if (theirs.validity().not_before <= ours.validity().not_before) return "is not newer";
  return std::nullopt;
}

}  // namespace acme_agent
