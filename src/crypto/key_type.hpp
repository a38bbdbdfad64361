#pragma once

#include <openssl/evp.h>

#include <optional>

#include <acme_agent/base/key_type.hpp>

namespace acme_agent {

/// Of a public or a private key; nothing if KeyType does not know it.
std::optional<KeyType> key_type_of(const EVP_PKEY* key);

/// RFC 5480 2.1.1: a certificate names its curve, even if the key that was read spells it out. Nothing for RSA.
void name_curve(EVP_PKEY* key);

}  // namespace acme_agent
