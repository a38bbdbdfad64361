#include "exchange.hpp"

#include <errno.h>
#include <sys/socket.h>

#include <optional>
#include <random>
#include <system_error>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/sys/udp.hpp>

namespace acme_agent {
namespace {

constexpr std::size_t largest_message = 65535;

bool not_yet(int error) {
  return error == EAGAIN || error == EINTR;
}

/// One conversation with one server, and what is said when it fails.
class Conversation {
 public:
  Conversation(const Endpoint& server, Duration timeout, const std::stop_token& stop)
      : server_(server), timeout_(timeout), deadline_(timeout), stop_(stop) {}

  Duration left() const { return deadline_.left(); }

  void keep(Connection connection) {
    if (!connection.socket.valid()) fail("cannot be reached: " + connection.failure);
    socket_ = std::move(connection.socket);
  }

  [[noreturn]] void fail(const std::string& why) const {
    throw Error(Remedy::retry, "the name server " + server_.text() + " " + why);
  }

  void send(std::string_view octets) const {
    while (!octets.empty()) {
      const ssize_t sent = ::send(socket_.get(), octets.data(), octets.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        octets.remove_prefix(static_cast<std::size_t>(sent));
        continue;
      }
      if (!not_yet(errno)) fail_with(errno);
      await(SocketReady::to_write);
    }
  }

  /// What has come, at most `limit` octets; nothing at the end of a TCP connection.
  std::string receive(std::size_t limit) const {
    std::string octets(limit, '\0');
    for (;;) {
      const ssize_t got = ::recv(socket_.get(), octets.data(), octets.size(), 0);
      if (got >= 0) {
        octets.resize(static_cast<std::size_t>(got));
        return octets;
      }
      if (!not_yet(errno)) fail_with(errno);
      await(SocketReady::to_read);
    }
  }

  std::string receive_exactly(std::size_t count) const {
    std::string octets;
    while (octets.size() < count) {
      const std::string more = receive(count - octets.size());
      if (more.empty()) fail("closed the connection without an answer");
      octets += more;
    }
    return octets;
  }

 private:
  void await(SocketReady what) const {
    if (!wait_for_socket(socket_.get(), what, deadline_.left(), stop_))
      fail("gave no answer within " + describe(timeout_));
  }

  [[noreturn]] void fail_with(int error) const {
    fail(error == ECONNREFUSED ? "does not answer: nobody listens there"
                               : "cannot be reached: " + std::generic_category().message(error));
  }

  const Endpoint& server_;
  const Duration timeout_;
  const Deadline deadline_;
  const std::stop_token& stop_;
  FileDescriptor socket_;
};

/// The reply, if it is one to this request.
std::optional<DnsReply> reply_to(const std::string& request, const DnsQuestion& question, std::string wire) {
  std::optional<DnsResponse> response = read_dns_response(wire);
  if (!response || write_dns_number(response->id, 2) != request.substr(0, 2)) return std::nullopt;
  if (response->opcode != (static_cast<unsigned char>(request[2]) >> 3 & 0xF)) return std::nullopt;
  // A server that cannot read the question, and one that answers an update, need not repeat it.
  const bool repeats = response->question.has_value();
  if (repeats ? response->question != question : response->opcode == 0 && response->code == dns_no_error)
    return std::nullopt;
  return DnsReply{std::move(wire), *std::move(response)};
}

}  // namespace

std::uint16_t random_id() {
  return static_cast<std::uint16_t>(std::random_device{}());
}

DnsReply exchange_by_udp(const Endpoint& server, const std::string& request, const DnsQuestion& question,
                         Duration timeout, const std::stop_token& stop) {
  Conversation conversation(server, timeout, stop);
  conversation.keep(connect_udp(server.host, server.port));
  conversation.send(request);
  for (;;)
    if (std::optional<DnsReply> reply = reply_to(request, question, conversation.receive(largest_message)))
      return *std::move(reply);
}

DnsReply exchange_by_tcp(const Endpoint& server, const std::string& request, const DnsQuestion& question,
                         Duration timeout, const std::stop_token& stop) {
  Conversation conversation(server, timeout, stop);
  conversation.keep(connect_tcp(server.host, server.port, timeout, stop));
  conversation.send(write_dns_number(request.size(), 2) + request);  // RFC 1035 4.2.2
  const std::string size = conversation.receive_exactly(2);
  std::optional<DnsReply> reply =
      reply_to(request, question,
               conversation.receive_exactly(static_cast<std::size_t>(static_cast<unsigned char>(size[0])) << 8 |
                                            static_cast<unsigned char>(size[1])));
  if (!reply) conversation.fail("sent what is no answer to the request");
  return *std::move(reply);
}

DnsResponse ask_server(const Endpoint& server, const std::string& name, RecordType type, Duration timeout,
                       const std::stop_token& stop) {
  const Deadline deadline(timeout);
  const std::string request = write_dns_query(random_id(), name, type);
  const DnsQuestion question{name, static_cast<std::uint16_t>(type)};
  DnsReply reply = exchange_by_udp(server, request, question, timeout, stop);
  if (reply.response.truncated) reply = exchange_by_tcp(server, request, question, deadline.left(), stop);
  return std::move(reply.response);
}

}  // namespace acme_agent
