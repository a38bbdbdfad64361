#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/authority/authority.hpp>

namespace acme_agent {

/// authority.json: key type and constraints.
std::string to_json(const AuthorityTerms& terms);
/// issued.json
std::string to_json(const std::vector<IssuedDevice>& devices);

/// Throw Error (ask_operator) with what is wrong with the text, also if a newer version wrote it.
AuthorityTerms terms_from_json(std::string_view text);
std::vector<IssuedDevice> devices_from_json(std::string_view text);

}  // namespace acme_agent
