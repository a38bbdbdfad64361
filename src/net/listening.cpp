#include "listening.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>

#include <acme_agent/base/error.hpp>

namespace acme_agent {
namespace {

struct FreeAddresses {
  void operator()(addrinfo* addresses) const noexcept { ::freeaddrinfo(addresses); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Addresses addresses_of(const ListeningPlace& place) {
  const Endpoint& address = place.address;
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const char* host = address.host.empty() ? nullptr : address.host.c_str();
  if (const int failure = ::getaddrinfo(host, std::to_string(address.port).c_str(), &hints, &found); failure != 0) {
    throw Error(Remedy::ask_operator, "cannot listen on \"" + address.host + "\" for " +
                                          std::string(place.purpose.task) + ": it is no numeric address");
  }
  return Addresses(found);
}

void set_port(sockaddr& address, std::uint16_t port) {
  // sin_port and sin6_port stand at the same place.
  reinterpret_cast<sockaddr_in&>(address).sin_port = htons(port);
}

[[noreturn]] void throw_errno() {
  throw std::system_error(errno, std::generic_category());
}

Socket listening_socket(const addrinfo& where) {
  Socket socket(::socket(where.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) throw_errno();
  const int yes = 1;
  // Binds beside the last connections of the listener before; a port where somebody listens is refused all the same.
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0) throw_errno();
  if (where.ai_family == AF_INET6 && ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes) != 0) {
    throw_errno();
  }
  if (::bind(socket.get(), where.ai_addr, where.ai_addrlen) != 0) throw_errno();
  if (::listen(socket.get(), SOMAXCONN) != 0) throw_errno();
  return socket;
}

Error cannot_listen(const ListeningPlace& wanted, const addrinfo& where, std::uint16_t port, int cause) {
  const bool ipv6 = where.ai_family == AF_INET6;
  const std::string& host = wanted.address.host;
  const std::string place = host.empty() ? (ipv6 ? "IPv6 port " : "IPv4 port ") + std::to_string(port)
                            : ipv6       ? "[" + host + "]:" + std::to_string(port)
                                         : host + ":" + std::to_string(port);
  const std::string option(wanted.purpose.option);
  const std::string failure = "cannot listen on " + place + " for " + std::string(wanted.purpose.task) + ": ";
  const Purpose& purpose = wanted.purpose;
  switch (cause) {
    case EADDRINUSE: {
      const std::string forwarding =
          purpose.forwarding.empty() ? "" : " and let it " + std::string(purpose.forwarding) + " there";
      const std::string holder = wanted.port_holder ? wanted.port_holder(port) : "";
      return Error(Remedy::retry, failure + "it is taken by " +
                                      (holder.empty() ? "another program (as root, 'ss -ltnp' names it)" : holder) +
                                      "; stop that, or give a free port with " + option + forwarding);
    }
    case EACCES:
    case EPERM:
      return Error(
          Remedy::ask_operator,
          failure +
              "no permission; run the agent as root or with CAP_NET_BIND_SERVICE, or give a port above 1023 "
              "with " +
              option +
              (purpose.usual_port.empty() ? "" : " and forward port " + std::string(purpose.usual_port) + " there"));
    case EADDRNOTAVAIL:
      return Error(Remedy::retry, failure + "this machine does not have that address (now); see " + option);
    default:
      return Error(Remedy::retry, failure + std::generic_category().message(cause));
  }
}

}  // namespace

std::vector<Socket> listen_at(const ListeningPlace& place) {
  const Endpoint& address = place.address;
  const Addresses addresses = addresses_of(place);
  std::vector<Socket> sockets;
  std::uint16_t port = address.port;
  for (const addrinfo* where = addresses.get(); where != nullptr; where = where->ai_next) {
    set_port(*where->ai_addr, port);
    try {
      sockets.push_back(listening_socket(*where));
    } catch (const std::system_error& failure) {
      const int cause = failure.code().value();
      const bool no_such_family = cause == EAFNOSUPPORT || (address.host.empty() && cause == EADDRNOTAVAIL);
      const bool others_may_do = where->ai_next != nullptr || !sockets.empty();
      if (no_such_family && others_may_do) continue;
      throw cannot_listen(place, *where, port, cause);
    }
    port = local_port(sockets.back());
  }
  return sockets;
}

Socket listen_at(const std::filesystem::path& path, const Purpose& purpose) {
  const auto refuse = [&](Remedy remedy, const std::string& why) {
    return Error(remedy, "cannot listen on " + path.string() + " for " + std::string(purpose.task) + ": " + why);
  };
  const std::string advice = "give another path with " + std::string(purpose.option);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path)
    throw refuse(Remedy::ask_operator, "the path of a socket has 107 characters at most; " + advice);
  path.native().copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* where = reinterpret_cast<const sockaddr*>(&address);

  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode))
      throw refuse(Remedy::ask_operator, "there is something else that is no socket; " + advice);
    const Socket visitor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(visitor.get(), where, sizeof address) == 0 || errno != ECONNREFUSED)
      throw refuse(Remedy::retry, "another program listens there; " + advice);
    ::unlink(path.c_str());
  }
  Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // The mode of the open socket, less our umask, becomes that of the file: it is never wider, not even for a moment.
  if (!socket.valid() || ::fchmod(socket.get(), 0660) != 0 || ::bind(socket.get(), where, sizeof address) != 0 ||
      ::fchmodat(AT_FDCWD, path.c_str(), 0660, AT_SYMLINK_NOFOLLOW) != 0 || ::listen(socket.get(), SOMAXCONN) != 0)
    throw refuse(Remedy::ask_operator, std::generic_category().message(errno) + "; " + advice);
  return socket;
}

std::uint16_t local_port(const Socket& socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

}  // namespace acme_agent
