#pragma once

#include <string>
#include <string_view>

#include <acme_agent/base/secret.hpp>

namespace acme_agent {

/// The 32 octets of SHA-256.
std::string sha256(std::string_view bytes);

enum class Hash { sha256, sha384, sha512 };

/// RFC 2104
std::string hmac(Hash hash, const Secret& key, std::string_view bytes);

}  // namespace acme_agent
