#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/sys/tcp.hpp>

namespace acme_agent {

/// A UDP socket that hears one numeric address alone, by a port that the kernel draws.
Connection connect_udp(const std::string& address, std::uint16_t port);

enum class SocketReady { to_read, to_write };

/// Waits until a socket can be read or written, or has failed; false after `timeout`. Throws Stopped at once on a stop.
bool wait_for_socket(int socket, SocketReady what, Duration timeout, const std::stop_token& stop);

}  // namespace acme_agent
