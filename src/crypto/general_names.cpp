#include "general_names.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

namespace acme_agent {
namespace {

std::optional<Identifier> identifier(const GENERAL_NAME* name) {
  int kind = 0;
  const auto* value = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(name, &kind));
  if (kind == GEN_DNS) {
    std::string text(octets(value));
    std::ranges::transform(text, text.begin(), [](char c) { return 'A' <= c && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    return Identifier{Identifier::Type::dns, std::move(text)};
  }
  if (kind == GEN_IPADD && (octets(value).size() == 4 || octets(value).size() == 16)) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(octets(value).size() == 4 ? AF_INET : AF_INET6, octets(value).data(), text.data(), text.size());
    return Identifier{Identifier::Type::ip, text.data()};
  }
  return std::nullopt;
}

}  // namespace

std::vector<Identifier> identifiers_in(const GENERAL_NAMES* names) {
  std::vector<Identifier> identifiers;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    if (auto found = identifier(sk_GENERAL_NAME_value(names, i))) identifiers.push_back(*std::move(found));
  }
  std::ranges::sort(identifiers);
  return identifiers;
}

}  // namespace acme_agent
