#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/base/identifier.hpp>

namespace acme_agent {

/// What an authority may certify (RFC 5280 4.2.1.10): a domain with all below it, or a network.
struct NameConstraint {
  Identifier::Type type = Identifier::Type::dns;
  std::string value;            ///< "home.arpa"; or the address of the network in canonical text.
  std::size_t prefix_bits = 0;  ///< Of a network.

  bool operator==(const NameConstraint&) const = default;
};

/// "home.arpa", "lan", "192.168.0.0/16" or "fd00::/8". Throws Error (ask_operator) with a sentence that quotes it.
NameConstraint parse_name_constraint(std::string_view text);
std::string to_string(const NameConstraint& constraint);

/// Whether an authority with these constraints may certify the name; without any it may certify all.
bool permitted(const Identifier& identifier, const std::vector<NameConstraint>& constraints);

/// The octets of an address, of 4 or 16; empty if it is none.
std::string address_octets(std::string_view address);

}  // namespace acme_agent
