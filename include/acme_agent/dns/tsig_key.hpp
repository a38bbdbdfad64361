#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <acme_agent/base/secret.hpp>
#include <acme_agent/crypto/digest.hpp>

namespace acme_agent {

/// What we and a name server know, and nobody else (RFC 8945).
struct TsigKey {
  std::string name;  ///< As in DnsRecord.
  Hash hash = Hash::sha256;
  Secret secret;
};

/// "hmac-sha256", …
std::string algorithm_name(Hash hash);

/// Reads what tsig-keygen writes, `key "NAME" { algorithm hmac-sha256; secret "BASE64"; };`, or what nsupdate takes,
/// `hmac-sha256:NAME:BASE64`. Throws Error (ask_operator) that says what is wrong, but nothing of the secret.
TsigKey parse_tsig_key(std::string_view text);

/// The same from a file.
TsigKey read_tsig_key(const std::filesystem::path& file);

}  // namespace acme_agent
