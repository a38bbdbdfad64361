#pragma once

#include <string>

#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {

/// The fingerprint (version 2) by which Tasmota knows a server: SHA-1 over the public key, as 20 octets in upper-case
/// hexadecimal with spaces between. It stays the same as long as the key does. Throws Error (ask_operator) for a key
/// that is neither RSA nor P-256.
std::string tasmota_fingerprint(const Certificate& certificate);
std::string tasmota_fingerprint(const PrivateKey& key);

}  // namespace acme_agent
