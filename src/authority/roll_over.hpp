#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "storage.hpp"

namespace acme_agent {

inline constexpr Duration root_lifetime = std::chrono::hours(24) * 7305;
static_assert(longest_device_lifetime < root_lifetime / 2);  // so that whatever is issued ends before its issuer

/// From now on, and an hour before, as clocks differ.
Validity from_now(TimePoint now, Duration lifetime);

/// How successors are made.
struct Making {
  KeyType key_type;
  std::vector<NameConstraint> name_constraints;
  std::optional<Secret> passphrase;
  TimePoint now;
};

/// Who issues at a moment.
struct Current {
  Root root;
  Servers servers;
};

/// What clients are told of and that is valid at `now`, the newest first: each was signed by the one after it here. Of
/// several that one root has signed, only the first to begin is in line: a clock that was ahead has made the others,
/// and who knows the one in line alone would not accept them when they begin.
std::vector<Root> roots_in_line(const std::filesystem::path& authority, TimePoint now);

/// Nothing if all have ended. Throws Error (retry) if all begin later, as a clock that is wrong has it.
std::optional<Root> newest_root(const std::filesystem::path& authority, TimePoint now);

/// The newest one below `root`.
std::optional<Servers> servers_below(const Root& root, const std::filesystem::path& authority, TimePoint now);

/// Makes what is missing and what follows that whose half life is over.
Current roll_over(const std::filesystem::path& authority, const Making& making);

}  // namespace acme_agent
