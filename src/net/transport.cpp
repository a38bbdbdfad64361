#include <acme_agent/net/transport.hpp>

namespace acme_agent {

std::optional<std::string> Response::header(std::string_view name) const {
  const auto found = headers.lower_bound(name);
  if (found == headers.end() || found->first != name) return std::nullopt;
  return found->second;
}

}  // namespace acme_agent
