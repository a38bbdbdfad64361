#include <acme_agent/crypto/private_key.hpp>

#include "certificate_claims.hpp"

namespace acme_agent::fuzz {

void one_input(std::string_view input) {
  const auto key = attempt_and_note([input] { return PrivateKey::from_pem(Secret(input)); });
  if (!key) return;
  note(to_string(key->type()));
  const Secret pem = key->to_pem();
  expect(pem.reveal().starts_with("-----BEGIN PRIVATE KEY-----\n"), "a key is kept as PKCS #8");
  const PrivateKey again = PrivateKey::from_pem(pem);
  expect(again.type() == key->type() && again.jwk() == key->jwk(), "a key reads as itself", key->jwk());
  expect(again.to_pem().reveal() == pem.reveal(), "a key is written as itself");
  expect(key->thumbprint().size() == 43, "a thumbprint has 43 characters");
}

}  // namespace acme_agent::fuzz
