#include <nlohmann/json.hpp>

#include "acme/messages.hpp"
#include "fuzz.hpp"
#include "server.hpp"

namespace acme_agent::fuzz {

void one_input(std::string_view input) {
  const auto directory = attempt([input] { return read_directory(std::string(input), directory_url); });
  if (!directory) return;
  for (const std::string& url : {directory->new_nonce, directory->new_account, directory->new_order}) {
    expect(is_usable_url(url), "only https URLs are used", url);
    expect_sentence(host_of(url), 303);
  }

  expect(directory->caa_identities.size() <= 10, "what a server is called are a few names");
  for (const std::string& url : {directory->revoke_cert, directory->key_change, directory->renewal_info})
    expect(url.empty() || is_usable_url(url), "only https URLs are used", url);

  const nlohmann::json written = {{"newNonce", directory->new_nonce},
                                  {"newAccount", directory->new_account},
                                  {"newOrder", directory->new_order},
                                  {"meta",
                                   {{"termsOfService", directory->terms_of_service},
                                    {"externalAccountRequired", directory->external_account_required}}}};
  const Directory again = read_directory(written.dump(), directory->url);
  expect(again.new_nonce == directory->new_nonce && again.new_account == directory->new_account &&
             again.new_order == directory->new_order && again.terms_of_service == directory->terms_of_service &&
             again.external_account_required == directory->external_account_required,
         "a directory reads as itself");
}

}  // namespace acme_agent::fuzz
