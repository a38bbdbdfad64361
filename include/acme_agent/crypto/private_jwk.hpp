#pragma once

#include <functional>
#include <map>
#include <string>

#include <acme_agent/base/secret.hpp>
#include <acme_agent/crypto/private_key.hpp>

namespace acme_agent {

/// The members of a JWK (RFC 7517) that are texts.
using JwkMembers = std::map<std::string, Secret, std::less<>>;

/// The private key of a JWK: EC with "d" (RFC 7518 6.2), or RSA with "d" and both primes (RFC 7518 6.3). Throws Error
/// (ask_operator) if something is missing or no number, if the numbers make no key together, or for a kind of key that
/// KeyType does not know.
PrivateKey read_private_jwk(const JwkMembers& members);

}  // namespace acme_agent
