#pragma once

#include <string>
#include <string_view>

#include <acme_agent/base/identifier.hpp>

namespace acme_agent {

/// The name of the TXT record that dns-01 looks at, without a final dot; a wildcard and its base have the same
/// (RFC 8555 8.4).
std::string dns01_name(const Identifier& identifier);

/// What the record says: the SHA-256 digest of the key authorization in base64url.
std::string dns01_value(std::string_view key_authorization);

}  // namespace acme_agent
