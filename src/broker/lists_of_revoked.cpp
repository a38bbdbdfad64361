#include "lists_of_revoked.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/revocation_list.hpp>

namespace acme_agent {
namespace {

/// Issuers and serial numbers of devices.
std::set<std::pair<std::string, std::string>> revoked_in(const std::vector<RevocationList>& lists) {
  std::set<std::pair<std::string, std::string>> revoked;
  for (const RevocationList& list : lists)
    for (const RevokedCertificate& entry : list.revoked)
      if (entry.reason != probe_reason) revoked.emplace(list.issuer, entry.serial);
  return revoked;
}

}  // namespace

bool revokes_as_much(std::string_view before, std::string_view wanted, TimePoint now) {
  try {
    const std::vector<RevocationList> lists = read_crls(before);
    for (const RevocationList& list : lists)
      if (now < list.this_update || !list.next_update || *list.next_update <= now) return false;
    const auto there = revoked_in(lists);
    return std::ranges::includes(there, revoked_in(read_crls(wanted)));
  } catch (const Error&) {  // damaged
    return false;
  }
}

}  // namespace acme_agent
