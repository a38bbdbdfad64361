#pragma once

#include <string_view>

namespace acme_agent {

/// The organizational unit by which every copy of this program knows a placeholder: never to be changed.
inline constexpr std::string_view placeholder_mark = "acme-agent placeholder";

}  // namespace acme_agent
