#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <acme_agent/mqtt/mqtt_status.hpp>

#include "support/quiet_log.hpp"

using namespace acme_agent;

namespace {

constexpr TimePoint noon = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22} + std::chrono::hours(12);
constexpr int patience_ms = 10'000;
constexpr int silence_ms = 500;

/// A broker that acknowledges who connects, and nothing that is published.
class SilentBroker {
 public:
  SilentBroker() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(socket_, any, sizeof address) == 0);
    REQUIRE(::listen(socket_, 1) == 0);
    REQUIRE(::getsockname(socket_, any, &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~SilentBroker() { ::close(socket_); }
  SilentBroker(const SilentBroker&) = delete;
  SilentBroker& operator=(const SilentBroker&) = delete;

  std::uint16_t port() const { return port_; }

  /// How many messages the next client publishes before it is hung up on.
  int count_published() const {
    REQUIRE(readable(socket_, patience_ms));
    const int client = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
    REQUIRE(readable(client, patience_ms));
    REQUIRE(next_packet(client) == connect);
    const unsigned char accepted[] = {0x20, 2, 0, 0};
    REQUIRE(::send(client, accepted, sizeof accepted, MSG_NOSIGNAL) == sizeof accepted);
    int count = 0;
    while (readable(client, silence_ms)) count += next_packet(client) == publish ? 1 : 0;
    ::close(client);
    return count;
  }

 private:
  // Types of control packets (MQTT 3.1.1, 2.2.1).
  static constexpr int connect = 1;
  static constexpr int publish = 3;

  static bool readable(int socket, int longest_ms) {
    pollfd one{socket, POLLIN, 0};
    return ::poll(&one, 1, longest_ms) == 1;
  }

  static unsigned char next_octet(int client) {
    unsigned char octet = 0;
    REQUIRE(::recv(client, &octet, 1, MSG_WAITALL) == 1);
    return octet;
  }

  /// Its type.
  static int next_packet(int client) {
    const int type = next_octet(client) >> 4;
    std::size_t length = 0;
    for (int shift = 0, more = 1; more != 0; shift += 7) {
      const unsigned char octet = next_octet(client);
      length |= static_cast<std::size_t>(octet & 0x7f) << shift;
      more = octet & 0x80;
    }
    for (; length > 0; --length) next_octet(client);
    return type;
  }

  const int socket_;
  std::uint16_t port_ = 0;
};

}  // namespace

TEST_CASE("a broker that ends each connection before it acknowledges anything hears the same each time, and no more") {
  const SilentBroker broker;
  const SystemClock clock;
  test::QuietLog log{clock};
  Reports reports;
  reports.now = noon;
  reports.certificates.emplace_back().name = "mydyn.example";
  MqttStatus status({Endpoint{"127.0.0.1", broker.port()}, false, "", {}, {}}, "pi", log);
  status.show(reports);
  const int first = broker.count_published();
  CHECK(first > 1);
  CHECK(broker.count_published() == first);
  CHECK(broker.count_published() == first);
}
