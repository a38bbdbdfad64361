#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <vector>

namespace acme_agent {

/// What a certificate is issued for (RFC 8555 9.7.7, RFC 8738).
struct Identifier {
  enum class Type { dns, ip };

  Type type = Type::dns;
  std::string value;  ///< Lower-case A-labels, perhaps behind "*."; or an address in canonical text.

  bool wildcard() const noexcept { return value.starts_with("*."); }
  auto operator<=>(const Identifier&) const = default;
};

/// Reads a name or an address as a user writes it: upper case and one final dot are mended. Throws Error
/// (ask_operator) with a sentence that quotes the text and says which rule it breaks.
Identifier parse_identifier(std::string_view text);

/// Whether a challenge of this type can prove it: what stands behind a wildcard has no address to visit, and an address
/// has no DNS of its own (RFC 8738 7).
bool can_prove(std::string_view challenge, const Identifier& identifier);

/// Which --challenge proves what others cannot, for the end of a sentence.
std::string_view how_to_prove(const Identifier& identifier);

/// The same names, in whatever order.
bool same_names(std::vector<Identifier> one, std::vector<Identifier> other);

}  // namespace acme_agent
