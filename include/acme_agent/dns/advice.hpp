#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/identifier.hpp>
#include <acme_agent/dns/resolver.hpp>

namespace acme_agent {

/// What in the DNS may keep a server from validating these names by `challenge` ("http-01", …), a sentence each: only
/// an explanation, as we may see another DNS than the server does. `issuers` are the server's own names in CAA records
/// (RFC 8659; none: unknown), `own_addresses` those of this machine (none: unknown). What cannot be found out within
/// `timeout` is left out. Throws nothing but Stopped.
std::vector<std::string> explain_names(const Resolver& resolver, const std::vector<Identifier>& names,
                                       const std::string& challenge, const std::vector<std::string>& issuers,
                                       const std::vector<std::string>& own_addresses, Duration timeout,
                                       const std::stop_token& stop);

}  // namespace acme_agent
