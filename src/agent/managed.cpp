#include <algorithm>

#include <acme_agent/agent/managed.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {

const AcmeServer* Managed::server_at(const std::string& url) const {
  const auto found =
      std::find_if(servers.begin(), servers.end(), [&](const auto& server) { return server->url == url; });
  return found == servers.end() ? nullptr : found->get();
}

bool Managed::stands_in(const std::string& url) const {
  const AcmeServer* server = server_at(url);
  return server != nullptr && server->own && server != servers.front().get();
}

bool Managed::wants(const CertificateChain& chain, TimePoint now) const {
  return (preferred_chain.empty() || chain.top() == preferred_chain) &&
         (devices == nullptr || !why_devices_refuse(chain, *devices, now));
}

PrivateKey read_key_file(const Managed& managed) {
  const std::optional<Secret> pem = read_file(managed.key_file);
  if (!pem) throw Error(Remedy::ask_operator, "the key file " + printable(managed.key_file) + " is gone: put it back");
  return PrivateKey::from_pem(*pem);
}

std::string what_of(KeyType key_type, std::vector<Identifier> identifiers) {
  std::sort(identifiers.begin(), identifiers.end());
  std::string what(to_string(key_type));
  for (const Identifier& identifier : identifiers) what += " " + identifier.value;
  return what;
}

}  // namespace acme_agent
