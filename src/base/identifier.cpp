#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/identifier.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

constexpr std::string_view digits = "0123456789";
constexpr std::string_view letters_digits_hyphen = "abcdefghijklmnopqrstuvwxyz0123456789-";

/// The canonical text of an address; empty if `text` is none.
std::string canonical_address(const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  std::array<char, INET6_ADDRSTRLEN> canonical{};
  for (const int family : {AF_INET, AF_INET6}) {
    if (::inet_pton(family, text.c_str(), address.data()) == 1) {
      return ::inet_ntop(family, address.data(), canonical.data(), canonical.size());
    }
  }
  return {};
}

/// The rule that `label` breaks; empty if none. RFC 1034 3.5, RFC 5890 2.3.1.
std::string_view broken_rule(std::string_view label) {
  if (label.empty()) return "no label between two dots may be empty";
  if (label.size() > 63) return "a label has at most 63 characters";
  if (label == "*") return "'*' may only be the first label, as in '*.example.org'";
  if (label.find_first_not_of(letters_digits_hyphen) != std::string_view::npos) {
    return "a name consists of letters, digits, hyphens and dots only";
  }
  if (label.front() == '-' || label.back() == '-') return "a label neither begins nor ends with a hyphen";
  return {};
}

}  // namespace

Identifier parse_identifier(std::string_view text) {
  const auto refuse = [text](std::string_view rule) {
    return Error(
        Remedy::ask_operator,
        "'" + printable(text, 300) + "' is not a name that a certificate can be issued for: " + std::string(rule));
  };

  std::string name(text);
  for (char& character : name) {
    const auto code = static_cast<unsigned char>(character);
    if (code >= 0x80) throw refuse("write names with other than ASCII letters as A-labels (xn--...)");
    if (code <= 0x20 || code == 0x7f) throw refuse("it contains white space or a control character");
    if (character >= 'A' && character <= 'Z') character = static_cast<char>(character - 'A' + 'a');
  }
  if (std::string address = canonical_address(name); !address.empty()) {
    return {Identifier::Type::ip, std::move(address)};
  }

  if (name.ends_with('.')) name.pop_back();
  if (name.empty()) throw refuse("it is empty");
  if (name.size() > 253) throw refuse("a name has at most 253 characters");

  std::string_view rest = name;
  if (rest.starts_with("*.")) {
    rest.remove_prefix(2);
    if (rest.find('.') == std::string_view::npos) throw refuse("behind '*.' stand at least two labels");
  }
  while (true) {
    const std::size_t dot = rest.find('.');
    const std::string_view label = rest.substr(0, dot);
    if (const std::string_view rule = broken_rule(label); !rule.empty()) throw refuse(rule);
    if (dot == std::string_view::npos) {
      if (label.find_first_not_of(digits) == std::string_view::npos) throw refuse("the last label may not be a number");
      return {Identifier::Type::dns, std::move(name)};
    }
    rest.remove_prefix(dot + 1);
  }
}

bool can_prove(std::string_view challenge, const Identifier& identifier) {
  const bool visits = challenge == "http-01" || challenge == "tls-alpn-01";
  if (identifier.type == Identifier::Type::ip) return visits;
  return !identifier.wildcard() || !visits;
}

std::string_view how_to_prove(const Identifier& identifier) {
  if (identifier.wildcard())
    return "a wildcard can be proven by its DNS only, so add --challenge dns-01 with --dns-update or --dns-hook";
  if (identifier.type == Identifier::Type::ip) return "an address is proven by --challenge http-01 or tls-alpn-01";
  return "choose another with --challenge";
}

bool same_names(std::vector<Identifier> one, std::vector<Identifier> other) {
  std::sort(one.begin(), one.end());
  std::sort(other.begin(), other.end());
  return one == other;
}

}  // namespace acme_agent
