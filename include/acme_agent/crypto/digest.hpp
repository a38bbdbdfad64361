#pragma once

#include <string>
#include <string_view>

namespace acme_agent {

/// The 32 octets of SHA-256.
std::string sha256(std::string_view bytes);

}  // namespace acme_agent
