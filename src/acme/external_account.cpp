#include <string.h>

#include <algorithm>
#include <optional>

#include <acme_agent/acme/external_account.hpp>
#include <acme_agent/base/base64url.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>

#include "messages.hpp"

namespace acme_agent {
namespace {

/// Strings that are wiped when they go.
struct Wiped {
  std::string text;
  ~Wiped() { ::explicit_bzero(text.data(), text.size()); }
};

/// In the letters of base64url, without white space and padding.
void unify(std::string& text) {
  std::erase_if(text, [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); });
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.pop_back();
}

/// Takes "hs384:" off.
Hash take_hash(std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return Hash::sha256;
  std::string word = text.substr(0, colon);
  for (char& c : word)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  text.erase(0, colon + 1);
  if (word == "hs256") return Hash::sha256;
  if (word == "hs384") return Hash::sha384;
  if (word == "hs512") return Hash::sha512;
  throw Error(Remedy::ask_operator, "what stands before the ':' of the HMAC key is not hs256, hs384 or hs512");
}

}  // namespace

ExternalAccount read_external_account(const std::string& kid, const Secret& text) {
  Wiped key{std::string(text.reveal())};
  unify(key.text);
  const Hash hash = take_hash(key.text);
  Wiped octets{base64url_decode(key.text).value_or("")};
  if (octets.text.empty())
    throw Error(Remedy::ask_operator, "the HMAC key is not in base64url: copy it as the CA shows it, nothing else");
  return {kid, Secret(octets.text), hash};
}

std::string how_to_bind(const std::string& directory_url) {
  const std::string options = "give --eab-kid and --eab-hmac-key-file, with what ";
  const std::string host = host_of(directory_url);
  if (host == "acme.zerossl.com")
    return options + "ZeroSSL shows under 'EAB Credentials for ACME Clients' at https://app.zerossl.com/developer";
  if (host == "dv.acme-v02.api.pki.goog" || host == "dv.acme-v02.test-api.pki.goog")
    return options + "'gcloud publicca external-account-keys create' prints";
  return options + "its operator gives out";
}

}  // namespace acme_agent
