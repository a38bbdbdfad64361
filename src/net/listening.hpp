#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <acme_agent/net/http01_listener.hpp>

#include "socket.hpp"

namespace acme_agent {

/// Non-blocking sockets that listen at `address`, one for each address family of this machine. They share their port
/// with nobody. Throws Error as Http01Listener::publish does.
std::vector<Socket> listen_at(const Endpoint& address,
                              const std::function<std::string(std::uint16_t port)>& port_holder);

/// The port that a socket is bound to.
std::uint16_t local_port(const Socket& socket);

}  // namespace acme_agent
