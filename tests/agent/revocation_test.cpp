#include <doctest/doctest.h>

#include <fstream>

#include <acme_agent/agent/planner.hpp>

#include "renewing.hpp"

using namespace acme_agent;
using test::Renewing;

namespace {

/// An agent with a certificate, and what `acme-agent revoke` does beside it.
struct Revoking : Renewing {
  Managed one = managed();

  Revoking() { renew(one); }

  Revocation note(bool compromised) {
    const Held now_held = *held();
    const Certificate& leaf = now_held.pair.chain.leaf();
    Revocation revocation{leaf.pem(), leaf.fingerprint_sha256(), now_held.server, true, {}};
    if (compromised) revocation.compromised_keys.insert(now_held.pair.key.thumbprint());
    state.certificate(one.name).save_revocation(revocation);
    return revocation;
  }
  std::string key() { return held()->pair.key.thumbprint(); }
  std::string deployed_key() { return Deployer::deployed(one.target)->key.thumbprint(); }
};

}  // namespace

TEST_CASE("a revoked certificate is replaced by the next look, with the key that it has") {
  Revoking t;
  const std::string serial = t.serial();
  const std::string key = t.key();
  t.note(false);
  const Outcome outcome = t.renew(t.one, {});
  CHECK(outcome.issued);
  CHECK(outcome.exit_code() == 0);
  CHECK(t.serial() != serial);
  CHECK(t.key() == key);
  CHECK_FALSE(t.renew(t.one).issued);  // the new one is not
}

TEST_CASE("a compromised key is never used again, though it is to be kept over renewals") {
  Revoking t;
  const std::string key = t.key();
  t.note(true);
  CHECK(t.renew(t.one, {}).issued);
  const std::string fresh = t.key();
  CHECK(fresh != key);
  CHECK(t.deployed_key() == fresh);
  CHECK(t.renew(t.one, {.force = true}).issued);
  CHECK(t.key() == fresh);
}

TEST_CASE("until the new certificate is there, the broker keeps the revoked one") {
  Revoking t;
  const std::string serial = t.serial();
  const std::string key = t.key();
  t.note(true);
  t.ca.go_down();
  for (int i = 0; i < 5; ++i) {
    const Outcome outcome = t.renew(t.one);
    CHECK(outcome.exit_code() == 1);
    CHECK(Deployer::deployed(t.one.target)->chain.leaf().serial() == serial);
    t.clock.set(outcome.next);
  }
  t.ca.come_back();
  CHECK(t.renew(t.one, {.look = true, .now = true}).exit_code() == 0);
  CHECK(t.key() != key);
}

TEST_CASE("an order that was under way with a compromised key is not gone on with") {
  Revoking t;
  const std::string key = t.key();
  t.ca.processing_polls(1'000'000);
  CHECK(t.renew(t.one, {.force = true}).exit_code() == 1);
  REQUIRE_FALSE(t.state.certificate(t.one.name).pending()->orders.empty());
  t.note(true);
  t.ca.processing_polls(0);
  CHECK(t.renew(t.one, {.look = true, .now = true}).issued);
  CHECK(t.key() != key);
}

TEST_CASE("a renewal that was under way with the old key while it was found compromised is made again") {
  Revoking t;
  const std::string key = t.key();
  Revocation revocation = t.note(true);
  revocation.fingerprint = "of the certificate before";
  t.state.certificate(t.one.name).save_revocation(revocation);
  CHECK(t.renew(t.one, {}).issued);
  CHECK(t.key() != key);
}

TEST_CASE("a revocation that the server has not confirmed changes nothing, if the key is not compromised") {
  Revoking t;
  Revocation revocation = t.note(false);
  revocation.confirmed = false;
  t.state.certificate(t.one.name).save_revocation(revocation);
  CHECK_FALSE(t.renew(t.one).issued);
}

TEST_CASE("a note that cannot be read does not keep a certificate from being renewed") {
  Revoking t;
  std::ofstream(t.state.certificate(t.one.name).folder() / "revoked.json") << "rubbish";
  CHECK(t.renew(t.one, {.force = true}).issued);
}

TEST_CASE("where the server knows a key to be compromised, another one is taken") {
  Revoking t;
  const std::string key = t.key();
  Session(*t.ca.connect(), t.clock, t.ca.directory_url(), t.held()->pair.key, "")
      .revoke(t.held()->pair.chain.leaf(), 1, {});  // by somebody who has it
  CHECK(t.renew(t.one, {.force = true}).issued);
  CHECK(t.key() != key);
}
