#include <acme_agent/acme/renewal_info.hpp>
#include <acme_agent/base/base64url.hpp>

#include "answers.hpp"
#include "messages.hpp"

namespace acme_agent {

std::string renewal_info_id(const Certificate& certificate) {
  const std::string issuer = certificate.authority_key_id();
  if (issuer.empty()) return {};
  return base64url_encode(issuer) + "." + base64url_encode(certificate.serial_octets());
}

Polled<RenewalInfo> fetch_renewal_info(Transport& transport, const Clock& clock, const Directory& directory,
                                       const std::string& id, const std::stop_token& stop) {
  const std::string url = directory.renewal_info + (directory.renewal_info.ends_with('/') ? "" : "/") + id;
  const Response response = transport.send({Request::Method::get, url, {}, {}}, stop);
  if (!succeeded(response)) throw refusal(response, url, clock);
  return {read_renewal_info(response.body, url), retry_after(response, clock)};
}

}  // namespace acme_agent
