#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/base/endpoint.hpp>

#include "socket.hpp"

namespace acme_agent {

/// What a port is for.
struct Purpose {
  std::string_view task;        ///< "the HTTP-01 challenge"
  std::string_view option;      ///< "--http-listen"
  std::string_view usual_port;  ///< Where the server comes to; empty: any will do.
  std::string_view forwarding;  ///< What another server on that port has to do; empty: nothing.
  bool one_answer_for_a_key;    ///< Another one would contradict it.
};

struct ListeningPlace {
  Endpoint address;
  std::function<std::string(std::uint16_t port)> port_holder;  ///< Names who holds a taken port; may be empty.
  Purpose purpose;
};

/// Non-blocking sockets that listen there, one for each address family of this machine. They share their port with
/// nobody. Throws Error as Http01Listener::publish does.
std::vector<Socket> listen_at(const ListeningPlace& place);

/// A non-blocking socket at this path, which may be used by our user and group; one that nobody listens on any more is
/// replaced. Throws Error: retry if somebody does, else ask_operator.
Socket listen_at(const std::filesystem::path& path, const Purpose& purpose);

/// The port that a socket is bound to.
std::uint16_t local_port(const Socket& socket);

}  // namespace acme_agent
