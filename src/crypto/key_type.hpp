#pragma once

#include <openssl/evp.h>

#include <optional>

#include <acme_agent/base/key_type.hpp>

namespace acme_agent {

/// Of a public or a private key; nothing if KeyType does not know it.
std::optional<KeyType> key_type_of(const EVP_PKEY* key);

}  // namespace acme_agent
