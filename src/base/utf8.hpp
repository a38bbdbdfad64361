#pragma once

#include <cstddef>
#include <string_view>

namespace acme_agent {

/// How many bytes the character at the start of `text` has; 0 if they are broken UTF-8 or a control character, which
/// then is `text`'s first byte (two bytes for U+0080 to U+009F). `text` is not empty.
std::size_t printable_length(std::string_view text);

}  // namespace acme_agent
