#include <algorithm>
#include <array>

#include <acme_agent/agent/known_servers.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

// Let's Encrypt's page "Rate Limits" of August 2026. One token less than the server gives, since its clock and ours
// never agree to the second.
constexpr std::array servers = {
    KnownServer{.url = "https://acme-v02.api.letsencrypt.org/directory",
                .name = "Let's Encrypt",
                .staging = false,
                .orders = {299, 36s},
                .failed_validations = {4, 12min},
                .same_names = {4, 34h}},
    KnownServer{.url = "https://acme-staging-v02.api.letsencrypt.org/directory",
                .name = "Let's Encrypt's staging server",
                .staging = true,
                .orders = {1499, 7200ms},
                .failed_validations = {199, 18s},
                .same_names = {29'999, 20160ms}},
};

}  // namespace

const KnownServer* known_server(std::string_view directory_url) {
  const auto* const found = std::find_if(servers.begin(), servers.end(),
                                         [&](const KnownServer& known) { return known.url == directory_url; });
  return found == servers.end() ? nullptr : found;
}

bool is_staging(std::string_view directory_url) {
  const KnownServer* known = known_server(directory_url);
  return known != nullptr && known->staging;
}

}  // namespace acme_agent
