#pragma once

#include <acme_agent/crypto/private_key.hpp>
#include <acme_agent/net/transport.hpp>

#include "key.hpp"
#include "support/fake_clock.hpp"

namespace acme_agent::fuzz {

constexpr auto directory_url = "https://ca.example/directory";

inline const PrivateKey& account_key() {
  static const PrivateKey key = PrivateKey::from_pem(Secret(key_pem));
  return key;
}

}  // namespace acme_agent::fuzz
