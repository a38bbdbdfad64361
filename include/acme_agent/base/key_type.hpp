#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace acme_agent {

enum class KeyType { rsa2048, rsa3072, rsa4096, ec256, ec384 };

/// "rsa2048", …: the words of --key-type.
std::string_view to_string(KeyType type);
std::optional<KeyType> parse_key_type(std::string_view word);
/// All the words, for messages.
std::vector<std::string> key_type_words();

/// Broker and clients tell RSA from ECDSA; the size makes no difference to a reload.
inline bool is_rsa(KeyType type) {
  return type <= KeyType::rsa4096;
}

}  // namespace acme_agent
