#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <acme_agent/sys/file.hpp>

namespace acme_agent {

/// A socket that listens already, from the service manager (sd_listen_fds(3)); non-blocking.
struct PassedSocket {
  FileDescriptor descriptor;
  std::string name;        ///< FileDescriptorName= of the socket unit; by default the unit's name.
  std::uint16_t port = 0;  ///< That it is bound to.
};

/// All sockets that were passed in to this process; none the second time. Changes the environment, so call it before
/// the first thread. Throws Error (ask_operator) if one is something else than a socket that listens on a TCP port.
std::vector<PassedSocket> take_passed_sockets();

}  // namespace acme_agent
