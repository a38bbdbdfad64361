#pragma once

#include <string>

#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {

/// The fingerprint (version 2) by which Tasmota knows a server: SHA-1 over the public key, as 20 octets in upper-case
/// hexadecimal with spaces between. It stays the same as long as the key does. Throws Error (ask_operator) for a key
/// that is neither RSA nor P-256.
std::string tasmota_fingerprint(const Certificate& certificate);
std::string tasmota_fingerprint(const PrivateKey& key);

/// What firmware that is built with INCLUDE_LOCAL_CERT includes, so that it trusts one more root: as BearSSL's own
/// `brssl ta` would write it.
struct TasmotaHeaders {
  std::string data;        ///< local_ca_data.h
  std::string descriptor;  ///< local_ca_descriptor.h
};

/// Throws Error (ask_operator) for a certificate that is no authority's, or of a key that is neither RSA of at most
/// 4096 bits nor P-256.
TasmotaHeaders tasmota_headers(const Certificate& root);

/// What Tasmota's commands TlsKey1 and TlsKey2 take, in base64, so that a device shows who it is: the 32 octets of its
/// private key, and its certificate in DER.
/// Throw Error (ask_operator) for another kind of key, or for a certificate that is too large for the room that Tasmota
/// has for it.
Secret tasmota_client_key(const PrivateKey& key);
std::string tasmota_client_certificate(const Certificate& certificate);

}  // namespace acme_agent
