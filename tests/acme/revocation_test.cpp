#include <doctest/doctest.h>

#include <acme_agent/acme/session.hpp>

#include "support/fake_ca.hpp"
#include "support/fake_clock.hpp"

namespace acme_agent {
namespace {

const std::stop_token never;
const std::vector<Identifier> names = {{Identifier::Type::dns, "mydyn.example"}};

/// Somebody with a certificate.
struct Holder {
  test::FakeClock clock;
  test::FakeCa ca{clock};
  std::unique_ptr<Transport> transport = ca.connect();
  Session session{*transport, clock, ca.directory_url(), PrivateKey::generate(KeyType::ec256), ""};
  PrivateKey key = PrivateKey::generate(KeyType::ec256);
  Certificate leaf = issue();

  Certificate issue() {
    session.new_account("", never);
    const Order order = session.new_order({names}, never);
    session.respond(session.authorization(order.authorizations.at(0), never).challenges.at(0), never);
    session.authorization(order.authorizations.at(0), never);
    const Order valid = session.finalize(order, make_csr(key, names), never).value;
    return session.download(valid, {}, never).leaf();
  }

  Session with(const PrivateKey& other) { return {*transport, clock, ca.directory_url(), other, ""}; }

  std::string refusal(Session by, std::optional<int> reason) {
    try {
      by.revoke(leaf, reason, never);
    } catch (const ProblemError& error) {
      return error.problem().type;
    }
    return "revoked";
  }
};

}  // namespace

TEST_CASE("a certificate is revoked by the account that has it, for every reason that is a subscriber's") {
  for (const std::optional<int> reason :
       {std::optional<int>(), std::optional(0), std::optional(1), std::optional(4), std::optional(5)}) {
    Holder t;
    CHECK_NOTHROW(t.session.revoke(t.leaf, reason, never));
    CHECK(t.ca.certificates_revoked() == 1);
  }
}

TEST_CASE("a certificate is revoked by its own key, without an account") {
  Holder t;
  CHECK(t.refusal(t.with(t.key), 1) == "revoked");
  CHECK(t.ca.certificates_revoked() == 1);
}

TEST_CASE("a certificate that is revoked already is a success") {
  Holder t;
  t.session.revoke(t.leaf, 1, never);
  CHECK_NOTHROW(t.session.revoke(t.leaf, 1, never));
}

TEST_CASE("neither a stranger nor a reason of a CA's own revokes anything") {
  Holder t;
  CHECK(t.refusal(t.with(PrivateKey::generate(KeyType::ec256)), 1) == "unauthorized");
  CHECK(t.refusal(t.session, 2) == "badRevocationReason");
  CHECK(t.ca.certificates_revoked() == 0);
}

}  // namespace acme_agent
