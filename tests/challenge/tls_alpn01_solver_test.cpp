#include <doctest/doctest.h>

#include <acme_agent/challenge/tls_alpn01_solver.hpp>
#include <acme_agent/crypto/certificate.hpp>

#include "support/alpn_client.hpp"
#include "support/quiet_log.hpp"

using namespace acme_agent;
using namespace acme_agent::test;
using namespace std::chrono_literals;

namespace {

struct Solving {
  SystemClock clock;
  QuietLog log{clock};
  AlpnListener listener{{"127.0.0.1", 0}, [](std::uint16_t) { return std::string(); }, log};
  TlsAlpn01Solver solver{listener, clock};
};

}  // namespace

TEST_CASE("the server finds a certificate for the name, for as long as the presentation lives") {
  Solving t;
  CHECK(t.solver.type() == "tls-alpn-01");
  auto presentation = t.solver.present({{Identifier::Type::dns, "mydyn.example"}, "token", "token.thumbprint"}, {});
  const std::uint16_t port = t.listener.port();
  const std::string der = fetch_alpn_certificate(port, "mydyn.example");
  REQUIRE_FALSE(der.empty());
  CHECK(Certificate::from_der(der).identifiers() == std::vector<Identifier>{{Identifier::Type::dns, "mydyn.example"}});
  CHECK(presentation->wait_for_visit(0, 5s, {}));
  presentation.reset();
  CHECK_FALSE(Connected(port).is_open());
}

TEST_CASE("an address is asked for by its reverse name") {
  Solving t;
  const auto presentation = t.solver.present({{Identifier::Type::ip, "127.0.0.1"}, "token", "token.thumbprint"}, {});
  const std::string der = fetch_alpn_certificate(t.listener.port(), "1.0.0.127.in-addr.arpa");
  REQUIRE_FALSE(der.empty());
  CHECK(Certificate::from_der(der).identifiers() == std::vector<Identifier>{{Identifier::Type::ip, "127.0.0.1"}});
}
