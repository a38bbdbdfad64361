#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage.hpp"

namespace acme_agent {

/// The common name of the clients to probe with, which no device can have.
inline constexpr const char* probe_name = "acme-agent-probe";

/// The lists of what a root and its authority for devices have revoked, in PEM: those that lie there, or new ones
/// where something was revoked since or half of their life is over, with two new clients to probe for them: ROOT/good
/// and ROOT/revoked. Whatever became of the records, nothing that is on a list leaves it before it has ended.
std::string revocation_lists(const Root& root, const std::vector<IssuedDevice>& devices,
                             const std::function<std::optional<Secret>()>& passphrase, TimePoint now);

}  // namespace acme_agent
