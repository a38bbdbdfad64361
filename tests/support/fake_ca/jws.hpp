#pragma once

#include <openssl/evp.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include <acme_agent/base/free.hpp>
#include <acme_agent/net/transport.hpp>

namespace acme_agent::test {

/// A flattened JWS, taken apart, its signature not yet looked at.
struct Jws {
  std::string signed_data;
  nlohmann::json header;
  std::string payload;
  std::string signature;
};

/// Throws Refusal if it is none.
Jws read_jws(const nlohmann::json& jws);

/// Of a JWK (RFC 7638).
std::string thumbprint(const nlohmann::json& jwk);

/// Throws Refusal for what is no JWK of a kind that the server takes.
std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>> public_key(const nlohmann::json& jwk);

/// Throws Refusal if the signature is not one by this key, or its algorithm not the one for this kind of key.
void check_signature(const Jws& jws, const nlohmann::json& jwk);

}  // namespace acme_agent::test
