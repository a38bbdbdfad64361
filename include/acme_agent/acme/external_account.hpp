#pragma once

#include <string>

#include <acme_agent/base/secret.hpp>
#include <acme_agent/crypto/digest.hpp>

namespace acme_agent {

/// What a CA has given its customer, so that an ACME account is known as the customer's (RFC 8555 7.3.4).
struct ExternalAccount {
  std::string kid;
  Secret key;
  Hash hash = Hash::sha256;
};

/// Reads the MAC key as a CA shows it: base64url or base64, padded or not, with white space anywhere; with "hs384:" or
/// "hs512:" in front where the CA wants that instead of HS256. Throws Error (ask_operator) that does not show the text.
ExternalAccount read_external_account(const std::string& kid, const Secret& text);

/// What to do where a server makes no account without such a binding, in a clause.
std::string how_to_bind(const std::string& directory_url);

}  // namespace acme_agent
