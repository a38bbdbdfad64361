#include <acme_agent/base/base64url.hpp>
#include <acme_agent/challenge/dns01.hpp>
#include <acme_agent/crypto/digest.hpp>

namespace acme_agent {

std::string dns01_name(const Identifier& identifier) {
  return "_acme-challenge." + (identifier.wildcard() ? identifier.value.substr(2) : identifier.value);
}

std::string dns01_value(std::string_view key_authorization) {
  return base64url_encode(sha256(key_authorization));
}

}  // namespace acme_agent
