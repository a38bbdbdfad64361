#include <filesystem>
#include <fstream>
#include <string>

#include "broker/deploying.hpp"

namespace acme_agent::test {
namespace {

TEST_CASE("an empty folder gets a placeholder of the final key that a broker can start with") {
  Deploying t;
  t.broker.stop();
  t.processes.end(812);
  const std::optional<Deployment> placed = t.place(rsa_key());
  REQUIRE(placed.has_value());
  CHECK(placed->state == State::done);
  CHECK(placed->switched);
  CHECK_FALSE(placed->reloaded);
  const std::optional<CertifiedKey> lying = Deployer::deployed(t.target);
  REQUIRE(lying.has_value());
  CHECK(lying->chain.leaf().placeholder());
  CHECK(lying->chain.leaf().identifiers() == t.target.identifiers);
  CHECK(lying->chain.leaf().has_public_key_of(rsa_key()));
  CHECK(lying->chain.leaf().validity().not_after == t.clock.now() + 30 * day);
  CHECK(t.file("chain.pem") == t.file("cert.pem"));
  CHECK(t.file("fullchain.pem") == t.file("cert.pem"));
  CHECK_FALSE(t.place(rsa_key()).has_value());
}

TEST_CASE("the real certificate follows its placeholder by a mere reload") {
  Deploying t;
  REQUIRE(t.place(rsa_key()).has_value());
  t.processes.signals.clear();
  const CertifiedKey held = t.pair(rsa_key());
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::done);
  CHECK(t.processes.signals.size() == 1);
  CHECK(t.serves(held));
}

TEST_CASE("a placeholder is made anew when it has expired, or key or names are others") {
  Deploying t;
  REQUIRE(t.place(rsa_key()).has_value());
  const PrivateKey* key = &rsa_key();
  SUBCASE("expired") {
    t.clock.advance(31 * day);
  }
  SUBCASE("key") {
    key = &other_rsa_key();
  }
  SUBCASE("names") {
    t.target.identifiers.push_back({Identifier::Type::dns, "a.example"});
  }
  SUBCASE("damaged") {
    t.put("combined.pem", "");
  }
  REQUIRE(t.place(*key).has_value());
  const std::optional<CertifiedKey> lying = Deployer::deployed(t.target);
  REQUIRE(lying.has_value());
  CHECK(lying->chain.leaf().has_public_key_of(*key));
  CHECK(lying->chain.leaf().identifiers().size() == t.target.identifiers.size());
  CHECK(lying->chain.leaf().validity().contains(t.clock.now()));
  CHECK_FALSE(t.place(*key).has_value());
}

TEST_CASE("a placeholder takes the place of what no broker can start with") {
  Deploying t;
  const CertifiedKey old = t.pair(rsa_key());
  t.put_as_certbot(old);
  SUBCASE("a key that does not fit") {
    t.put("privkey.pem", std::string(ec_key().to_pem().reveal()));
  }
  SUBCASE("an empty key") {
    t.put("privkey.pem", "");
  }
  SUBCASE("no key") {
    fs::remove(t.folder / "privkey.pem");
  }
  SUBCASE("torn certificates") {
    t.put("fullchain.pem", "-----BEGIN CERTIFICATE-----\nMIIB");
    t.put("cert.pem", "");
  }
  REQUIRE(t.place(other_rsa_key()).has_value());
  CHECK(Deployer::deployed(t.target)->chain.leaf().placeholder());
}

TEST_CASE("a placeholder never takes the place of a pair that is not one, in date or not") {
  Deploying t;
  SUBCASE("issued, expired and of another key") {
    t.put_as_certbot(t.pair(rsa_key(), 100 * day));
  }
  SUBCASE("issued for other names") {
    const auto names = std::exchange(t.target.identifiers, {{Identifier::Type::dns, "other.example"}});
    t.put_as_certbot(t.pair(rsa_key()));
    t.target.identifiers = names;
  }
  SUBCASE("only in combined.pem") {
    const CertifiedKey old = t.pair(rsa_key());
    t.put("combined.pem", std::string(old.key.to_pem().reveal()) + old.chain.pem());
  }
  const auto before = t.traces();
  CHECK_FALSE(t.place(other_rsa_key()).has_value());
  CHECK(t.traces() == before);
  CHECK(t.processes.signals.empty());
}

TEST_CASE("a broker that still serves a good certificate is not told about a placeholder") {
  Deploying t;
  t.deployed_before(rsa_key());
  for (const std::string& name : all_files) t.put(name, "");
  const std::optional<Deployment> placed = t.place(rsa_key());
  REQUIRE(placed.has_value());
  CHECK(placed->switched);
  CHECK_FALSE(placed->reloaded);
  CHECK(t.processes.signals.empty());

  SUBCASE("but it is when that has expired") {
    t.clock.advance(70 * day);
    REQUIRE(t.place(rsa_key()).has_value());
    CHECK(t.processes.signals.size() == 1);
  }
}

TEST_CASE("a placeholder of another kind of key than the served one waits for a restart without a signal") {
  Deploying t;
  REQUIRE(t.place(ec_key()).has_value());
  t.processes.signals.clear();
  t.broker.load();
  const std::optional<Deployment> placed = t.place(rsa_key());
  REQUIRE(placed.has_value());
  CHECK(placed->switched);
  CHECK(t.processes.signals.empty());
}

TEST_CASE("a key that cannot be read is no reason to put a placeholder over it") {
  Deploying t;
  t.put_as_certbot(t.pair(rsa_key()));
  fs::remove(t.folder / "privkey.pem");
  fs::create_directory(t.folder / "privkey.pem");
  const auto before = t.traces();
  const std::optional<Deployment> placed = t.place(rsa_key());
  REQUIRE(placed.has_value());
  CHECK(placed->state == State::failed);
  CHECK(says(*placed, "privkey.pem"));
  CHECK(t.traces() == before);
  CHECK_THROWS_AS(Deployer::deployed(t.target), Error);
}

TEST_CASE("a pair of somebody else that we merely do not understand is never replaced by a placeholder") {
  Deploying t;
  fs::create_directories(t.folder);
  const CertifiedKey good = t.pair(rsa_key());
  const std::string pem = good.chain.pem();
  const std::string unknown = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
  std::ofstream(t.folder / "fullchain.pem") << pem;
  std::ofstream(t.folder / "privkey.pem") << unknown;
  CHECK_FALSE(t.place(rsa_key()));
  std::ofstream(t.folder / "fullchain.pem")
      << pem << "-----BEGIN DH PARAMETERS-----\nMIIB\n-----END DH PARAMETERS-----\n";
  std::ofstream(t.folder / "privkey.pem") << good.key.to_pem().reveal();
  CHECK_FALSE(t.place(rsa_key()));
  std::ofstream(t.folder / "privkey.pem") << other_rsa_key().to_pem().reveal();
  CHECK(t.place(rsa_key()));
}

}  // namespace
}  // namespace acme_agent::test
