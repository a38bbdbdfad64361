#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace acme_agent {

/// RFC 4648 5, without padding, as RFC 8555 6.1 wants it.
std::string base64url_encode(std::string_view bytes);

/// RFC 4648 4, with padding.
std::string base64_encode(std::string_view bytes);

/// The bytes; nothing if `text` holds another character, padding, an impossible length or set bits past the end.
std::optional<std::string> base64url_decode(std::string_view text);

}  // namespace acme_agent
