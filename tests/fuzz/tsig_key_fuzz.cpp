#include <acme_agent/dns/message.hpp>
#include <acme_agent/dns/tsig_key.hpp>

#include "fuzz.hpp"

namespace acme_agent::fuzz {

void one_input(std::string_view input) {
  const std::optional<TsigKey> key = attempt([&] { return parse_tsig_key(input); });
  if (!key) return;
  expect(!key->secret.empty(), "a key has a secret");
  expect(write_dns_name(key->name).size() > 1, "a key has a name that can be sent", key->name);
}

}  // namespace acme_agent::fuzz
