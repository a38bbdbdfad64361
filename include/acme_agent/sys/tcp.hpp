#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {

/// All addresses of the host in numeric text, IPv6 and IPv4, each once. Throws Error (retry) if there are none and
/// Stopped at once on a stop, whatever the resolver is doing.
std::vector<std::string> resolve(const std::string& host, Duration timeout, const std::stop_token& stop);

/// The numeric addresses of this machine, without those of one link only.
std::vector<std::string> own_addresses();

struct Connection {
  FileDescriptor socket;  ///< Non-blocking; not valid if the connection failed.
  bool refused = false;   ///< Nobody listens there (or the address family does not exist here).
  std::string failure;    ///< In words; empty if connected.
};

/// Connects to a numeric address. Throws Stopped at once on a stop.
Connection connect_tcp(const std::string& address, std::uint16_t port, Duration timeout, const std::stop_token& stop);

}  // namespace acme_agent
