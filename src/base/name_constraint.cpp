#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/name_constraint.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

bool bit(std::string_view octets, std::size_t index) {
  return (static_cast<unsigned char>(octets[index / 8]) >> (7 - index % 8) & 1) != 0;
}

/// RFC 5280 7.2: domains are compared without regard to case.
std::string lower(std::string_view name) {
  std::string text(name);
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

bool within(const std::string& name, const std::string& domain) {
  return name == domain || name.ends_with("." + domain);
}

bool same_bits(std::string_view one, std::string_view other, std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to; ++i)
    if (bit(one, i) != bit(other, i)) return false;
  return true;
}

NameConstraint parse_network(std::string_view address, std::string_view bits) {
  const std::string octets = address_octets(address);
  if (octets.empty()) throw Error(Remedy::ask_operator, "what stands in front of the slash is not an address");
  std::size_t prefix = 0;
  const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), prefix);
  if (error != std::errc() || end != bits.data() + bits.size() || prefix > 8 * octets.size())
    throw Error(Remedy::ask_operator,
                "behind the slash stands a count of bits, at most " + std::to_string(8 * octets.size()));
  if (!same_bits(octets, std::string(octets.size(), '\0'), prefix, 8 * octets.size()))
    throw Error(Remedy::ask_operator, "the address has bits set behind the first " + std::to_string(prefix));
  return {Identifier::Type::ip, parse_identifier(address).value, prefix};
}

}  // namespace

std::string address_octets(std::string_view address) {
  const std::string text(address);
  std::array<char, 16> octets{};
  if (::inet_pton(AF_INET, text.c_str(), octets.data()) == 1) return {octets.data(), 4};
  if (::inet_pton(AF_INET6, text.c_str(), octets.data()) == 1) return {octets.data(), 16};
  return {};
}

NameConstraint parse_name_constraint(std::string_view text) {
  try {
    if (const std::size_t slash = text.find('/'); slash != std::string_view::npos)
      return parse_network(text.substr(0, slash), text.substr(slash + 1));
    if (!address_octets(text).empty()) throw Error(Remedy::ask_operator, "write a network, as in 192.168.0.0/16");
    if (text.starts_with('*') || text.starts_with('.'))
      throw Error(Remedy::ask_operator, "write the domain alone, which stands for all below it as well");
    return {Identifier::Type::dns, parse_identifier(text).value, 0};
  } catch (const Error& error) {
    throw error.while_doing("'" + printable(text, 300) + "' is neither a domain nor a network");
  }
}

std::string to_string(const NameConstraint& constraint) {
  if (constraint.type == Identifier::Type::dns) return constraint.value;
  return constraint.value + "/" + std::to_string(constraint.prefix_bits);
}

bool permitted(const Identifier& identifier, const std::vector<NameConstraint>& constraints) {
  return constraints.empty() || std::ranges::any_of(constraints, [&](const NameConstraint& constraint) {
           if (constraint.type != identifier.type) return false;
           if (identifier.type == Identifier::Type::dns) return within(lower(identifier.value), constraint.value);
           const std::string address = address_octets(identifier.value);
           const std::string network = address_octets(constraint.value);
           return address.size() == network.size() && same_bits(address, network, 0, constraint.prefix_bits);
         });
}

}  // namespace acme_agent
