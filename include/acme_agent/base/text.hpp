#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace acme_agent {

/// Without the white space at both ends.
std::string_view trim(std::string_view text);

/// Split at every `separator`; parts are trimmed, empty ones left out.
std::vector<std::string> split(std::string_view text, char separator);

/// "a, b and c".
std::string join(const std::vector<std::string>& parts);

/// What came from elsewhere, fit to stand in a log line or a message: control characters and broken UTF-8 become
/// escapes, and what is longer than `limit` bytes ends in "…".
std::string printable(std::string_view text, std::size_t limit = 500);

/// Lower-case hexadecimal.
std::string to_hex(std::string_view bytes);

/// Of `known`, the one that `text` was probably meant to be (at most two typing errors away); empty if none.
std::string nearest(std::string_view text, const std::vector<std::string>& known);

}  // namespace acme_agent
