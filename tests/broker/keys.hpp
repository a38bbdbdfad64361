#pragma once

#include <acme_agent/crypto/private_key.hpp>

namespace acme_agent::test {

/// Made once for all tests, as RSA keys take their time.
inline const PrivateKey& rsa_key() {
  static const PrivateKey key = PrivateKey::generate(KeyType::rsa2048);
  return key;
}

inline const PrivateKey& other_rsa_key() {
  static const PrivateKey key = PrivateKey::generate(KeyType::rsa2048);
  return key;
}

inline const PrivateKey& ec_key() {
  static const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  return key;
}

}  // namespace acme_agent::test
