#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include <acme_agent/base/error.hpp>
#include <acme_agent/sys/passed_sockets.hpp>

#include "child.hpp"

using namespace acme_agent;
using namespace acme_agent::test;

namespace {

int listening_socket() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address);
  ::listen(descriptor, 8);
  return descriptor;
}

/// `work` in a process of its own that has nothing of this test's at descriptors 3 and 4.
std::string activated(const std::function<std::string()>& work) {
  std::vector<FileDescriptor> fillers;
  for (int i = 0; i < 4; ++i) fillers.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return in_child(work);
}

std::uint16_t port_of(int descriptor) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

/// As a service manager starts a program: these are descriptors 3 and up.
void pass(const std::vector<int>& descriptors, const std::string& names, int pid = ::getpid()) {
  for (std::size_t i = 0; i < descriptors.size(); ++i) {
    const int moved = ::fcntl(descriptors[i], F_DUPFD, 100);
    ::dup2(moved, 3 + static_cast<int>(i));
  }
  ::setenv("LISTEN_PID", std::to_string(pid).c_str(), 1);
  ::setenv("LISTEN_FDS", std::to_string(descriptors.size()).c_str(), 1);
  ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
}

std::string told(const PassedSocket& socket, std::uint16_t port, const std::string& name) {
  if (socket.port != port) return "another port";
  if (socket.name != name) return "another name: " + socket.name;
  if ((::fcntl(socket.descriptor.get(), F_GETFD) & FD_CLOEXEC) == 0) return "programs that are started inherit it";
  if ((::fcntl(socket.descriptor.get(), F_GETFL) & O_NONBLOCK) == 0) return "it blocks";
  return "";
}

}  // namespace

TEST_CASE("sockets that are passed in are taken with their names and ports, once") {
  CHECK(activated([] {
          const int one = ::fcntl(listening_socket(), F_DUPFD, 200);
          const int other = ::fcntl(listening_socket(), F_DUPFD, 200);
          pass({one, other}, "http-01:");
          const std::vector<PassedSocket> passed = take_passed_sockets();
          if (passed.size() != 2) return "there are " + std::to_string(passed.size());
          if (!take_passed_sockets().empty()) return std::string("they are taken twice");
          if (::getenv("LISTEN_FDS") != nullptr) return std::string("programs that are started see the variables");
          return told(passed[0], port_of(one), "http-01") + told(passed[1], port_of(other), "");
        }) == "");
}

TEST_CASE("sockets for another process are not taken") {
  CHECK(activated([] {
          pass({::fcntl(listening_socket(), F_DUPFD, 200)}, "http-01", ::getppid());
          return std::string(take_passed_sockets().empty() ? "" : "they are");
        }) == "");
}

TEST_CASE("without a service manager there are none") {
  CHECK(activated([] {
          ::unsetenv("LISTEN_PID");
          ::setenv("LISTEN_FDS", "2", 1);
          return std::string(take_passed_sockets().empty() ? "" : "there are");
        }) == "");
}

TEST_CASE("what is passed in and does not listen is an error that says which it is") {
  CHECK(activated([] {
          pass({::fcntl(::socket(AF_INET, SOCK_DGRAM, 0), F_DUPFD, 200)}, "dns");
          try {
            take_passed_sockets();
          } catch (const Error& error) {
            return error.message();
          }
          return std::string("it is taken");
        }) ==
        "what was passed in as descriptor 3 ('dns') is no socket that listens on a TCP port: look at "
        "ListenStream= in the socket unit");
}
