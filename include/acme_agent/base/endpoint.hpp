#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>

namespace acme_agent {

/// Where something listens, or shall listen.
struct Endpoint {
  std::string host;  ///< Name or numeric address, without brackets; empty: every address of this machine.
  std::uint16_t port = 0;

  /// `HOST:PORT`, `[IPV6]:PORT`, or `PORT` alone without host.
  std::string text() const;
  auto operator<=>(const Endpoint&) const = default;
};

/// A port, or a socket in the file system.
using SocketPlace = std::variant<Endpoint, std::filesystem::path>;

/// `HOST:PORT`, IPv6 addresses in brackets. Throws Error (ask_operator) with the rule that is broken.
Endpoint parse_endpoint(std::string_view text);

/// `[ADDRESS:]PORT` with a numeric address. Throws Error (ask_operator) with the rule that is broken.
Endpoint parse_listen_endpoint(std::string_view text);

}  // namespace acme_agent
