#include <algorithm>

#include <acme_agent/agent/managed.hpp>

namespace acme_agent {

const AcmeServer* Managed::server_at(const std::string& url) const {
  const auto found =
      std::find_if(servers.begin(), servers.end(), [&](const auto& server) { return server->url == url; });
  return found == servers.end() ? nullptr : found->get();
}

std::string what_of(KeyType key_type, std::vector<Identifier> identifiers) {
  std::sort(identifiers.begin(), identifiers.end());
  std::string what(to_string(key_type));
  for (const Identifier& identifier : identifiers) what += " " + identifier.value;
  return what;
}

}  // namespace acme_agent
