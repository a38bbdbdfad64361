#include <array>
#include <utility>

#include <acme_agent/base/key_type.hpp>

namespace acme_agent {
namespace {

constexpr std::array<std::pair<KeyType, std::string_view>, 5> key_types{{
    {KeyType::rsa2048, "rsa2048"},
    {KeyType::rsa3072, "rsa3072"},
    {KeyType::rsa4096, "rsa4096"},
    {KeyType::ec256, "ec256"},
    {KeyType::ec384, "ec384"},
}};

}  // namespace

std::string_view to_string(KeyType type) {
  for (const auto& [known, word] : key_types)
    if (known == type) return word;
  return "unknown";
}

std::optional<KeyType> parse_key_type(std::string_view word) {
  for (const auto& [type, known] : key_types)
    if (known == word) return type;
  return std::nullopt;
}

std::vector<std::string> key_type_words() {
  std::vector<std::string> words;
  for (const auto& [type, word] : key_types) words.emplace_back(word);
  return words;
}

}  // namespace acme_agent
