#include <filesystem>
#include <fstream>
#include <string>

#include "broker/deploying.hpp"

namespace acme_agent::test {
namespace {

TEST_CASE(
    "a broker that may not read the new files keeps the old ones, and the operator learns which user and what to do") {
  Deploying t;
  const CertifiedKey old = t.deployed_before(rsa_key());
  Process& broker = t.processes.running.front();
  broker.uid += 4711;
  broker.gid += 4711;
  broker.groups.clear();
  broker.reads_everything = false;
  t.target.ownership.gid = ::getegid();
  t.target.owner_given = true;
  const auto before = t.traces();
  const Deployment deployment = t.deploy(t.pair(rsa_key()));
  CHECK(deployment.state == State::failed);
  CHECK_FALSE(deployment.switched);
  CHECK_FALSE(deployment.reloaded);
  CHECK(says(deployment, "mosquitto (pid 812) cannot read"));
  CHECK(says(deployment, std::to_string(broker.uid)));
  CHECK(says(deployment, "--owner USER:GROUP"));
  CHECK(t.processes.signals.empty());
  CHECK(t.lies(old));
  CHECK(t.traces() == before);

  SUBCASE("a folder on the way counts as well as a file") {
    t.target.ownership.mode = 0644;
    fs::permissions(t.dir.path(), fs::perms(0700));
    CHECK(says(t.deploy(t.pair(rsa_key())), t.dir.path().string()));
    CHECK(t.lies(old));
  }
  SUBCASE("the mode that is asked for mends it") {
    t.target.ownership.mode = 0644;
    CHECK(t.deploy(t.pair(rsa_key())).state == State::done);
  }
  SUBCASE("what is served all the same needs no mending") {
    CHECK(t.deploy(old).state == State::done);
    CHECK(t.traces() == before);
  }
}

TEST_CASE("a broker that cannot read what lies there since long is not told to try") {
  Deploying t;
  const CertifiedKey held = t.deployed_before(rsa_key());
  t.broker.stop();
  Process& broker = t.processes.running.front();
  broker.uid += 4711;
  broker.gid += 4711;
  broker.groups.clear();
  broker.reads_everything = false;
  t.target.owner_given = true;
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::failed);
  CHECK(says(deployment, "mosquitto (pid 812) cannot read"));
  CHECK(t.processes.signals.empty());
}

TEST_CASE("another mode or owner than the files have is given to them") {
  Deploying t;
  const CertifiedKey held = t.deployed_before(rsa_key());
  t.target.ownership.mode = 0644;
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::done);
  CHECK(deployment.switched);
  CHECK(fs::status(t.folder / "privkey.pem").permissions() == fs::perms(0644));
  CHECK_FALSE(t.deploy(held).switched);
}

TEST_CASE("torn, empty, missing and strange files are put right, while the broker serves what it had") {
  Deploying t;
  const CertifiedKey held = t.deployed_before(rsa_key());
  SUBCASE("a key of another certificate") {
    t.put("privkey.pem", std::string(ec_key().to_pem().reveal()));
  }
  SUBCASE("an empty certificate") {
    t.put("fullchain.pem", "");
  }
  SUBCASE("half a certificate") {
    t.put("fullchain.pem", held.chain.pem().substr(0, 500));
  }
  SUBCASE("a file that is gone") {
    fs::remove(t.folder / "combined.pem");
  }
  SUBCASE("a link that leads nowhere") {
    fs::remove(t.folder / "cert.pem");
    fs::create_symlink(t.dir / "gone", t.folder / "cert.pem");
  }
  SUBCASE("a chain that was overwritten through the link") {
    std::ofstream(t.folder / "chain.pem") << "rubbish";
  }
  CHECK(t.deploy(held).state == State::done);
  CHECK(t.lies(held));
  CHECK(t.serves(held));
}

TEST_CASE("a broker that lost its key by somebody else's reload gets it back") {
  Deploying t;
  const CertifiedKey held = t.deployed_before(rsa_key());
  t.put("privkey.pem", "");
  t.put("fullchain.pem", t.pair(other_rsa_key()).chain.pem());
  t.broker.load();
  REQUIRE_FALSE(t.serves(held));
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::done);
  CHECK(t.lies(held));
}

TEST_CASE("certbot's regular files count as deployed, are replaced by the held pair, and come back if that breaks") {
  Deploying t;
  const CertifiedKey old = t.pair(rsa_key(), 60 * day);
  t.put_as_certbot(old);
  t.broker.load();
  SUBCASE("all four") {}
  SUBCASE("without fullchain.pem") {
    fs::remove(t.folder / "fullchain.pem");
  }
  REQUIRE(Deployer::deployed(t.target).has_value());
  CHECK(Deployer::deployed(t.target)->chain == old.chain);
  CHECK_FALSE(t.place(rsa_key()).has_value());

  const CertifiedKey held = t.pair(rsa_key());
  bool break_it = true;
  t.processes.on_signal = [&](const Process&, int) {
    if (std::exchange(break_it, false)) {
      write_file(t.folder / "privkey.pem", "", {});
      write_file(t.folder / "fullchain.pem", t.pair(other_rsa_key()).chain.pem(), {});
    }
    t.broker.load();
  };
  CHECK(t.deploy(held).rolled_back);
  CHECK(Deployer::deployed(t.target)->chain == old.chain);
  CHECK(t.deploy(held).state == State::done);
  CHECK(t.lies(held));
}

TEST_CASE("a newer pair of the same authority stays and is made the served one") {
  Deploying t;
  const CertifiedKey held = t.pair(rsa_key(), 30 * day);
  const CertifiedKey newer = t.pair(other_rsa_key(), 1h);
  t.put_as_certbot(newer);
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::done);
  CHECK(deployment.stamp.empty());
  CHECK(t.lies(newer));
  CHECK(t.serves(newer));

  SUBCASE("until it expires") {
    t.clock.advance(100 * day);
    const CertifiedKey renewed = t.pair(rsa_key());
    CHECK(t.deploy(renewed).state == State::done);
    CHECK(t.lies(renewed));
  }
  SUBCASE("unless it is for other names") {
    t.target.identifiers.push_back({Identifier::Type::dns, "b.example"});
    CertifiedKey wider = t.pair(rsa_key(), 30 * day);
    CHECK(t.deploy(wider).state == State::done);
    CHECK(t.lies(wider));
  }
}

TEST_CASE("a shorter certificate that was issued later is the newer one") {
  Deploying t;
  const CertifiedKey old = t.pair(rsa_key(), 1 * day, 90 * day);
  t.put_as_certbot(old);
  const CertifiedKey held = t.pair(rsa_key(), 1h, 6 * day);
  CHECK(t.deploy(held).state == State::done);
  CHECK(t.lies(held));
}

TEST_CASE("what the operator's server issued replaces the pair of another authority, whatever their dates") {
  Deploying t;
  CertifiedKey trial = t.pair(rsa_key(), 1h, 1800 * day);
  trial.chain = CertificateChain({trial.chain.leaf()});  // ends at another name
  t.put_as_certbot(trial);
  const CertifiedKey held = t.pair(rsa_key(), 2h);
  CHECK(t.deploy(held).state == State::done);
  CHECK(t.lies(held));
}

TEST_CASE("an expired held pair never replaces one that is in date, of whatever authority and age") {
  Deploying t;
  CertifiedKey good = t.pair(rsa_key(), 300 * day, 400 * day);
  good.chain = CertificateChain({good.chain.leaf()});  // ends at another name
  t.put_as_certbot(good);
  CHECK(t.deploy(t.pair(rsa_key(), 91 * day)).state == State::done);
  CHECK(Deployer::deployed(t.target)->chain == good.chain);
}

TEST_CASE("a chain of the leaf alone leaves no empty file, which Mosquitto would refuse") {
  Deploying t;
  const CertifiedKey issued = t.pair(rsa_key());
  const CertifiedKey held{rsa_key(), CertificateChain({issued.chain.leaf()})};
  CHECK(t.deploy(held).state == State::done);
  CHECK(t.file("chain.pem") == held.chain.leaf_pem());
  CHECK_FALSE(t.deploy(held).switched);
}

TEST_CASE("a folder that cannot be written is for the operator, and the broker is not told") {
  Deploying t;
  write_file(t.folder, "a file where the folder should be", {});
  const Deployment deployment = t.deploy(t.pair(rsa_key()));
  CHECK(deployment.state == State::failed);
  CHECK_FALSE(deployment.switched);
  CHECK(says(deployment, t.folder.string()));
  CHECK(t.processes.signals.empty());
}

}  // namespace
}  // namespace acme_agent::test
