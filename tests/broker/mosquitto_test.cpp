#include "broker/mosquitto.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include <acme_agent/broker/deployer.hpp>
#include <acme_agent/sys/file.hpp>

#include "broker/keys.hpp"
#include "broker/mqtt_client.hpp"
#include "support/quiet_log.hpp"
#include "support/temp_dir.hpp"
#include "support/test_ca.hpp"

namespace acme_agent::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using State = Deployment::State;

constexpr auto day = 24h;

const TestCa& ca() {
  static const TestCa authority;
  return authority;
}

/// A folder, a real Mosquitto and all that is real between them.
struct WithMosquitto {
  TempDir dir;
  fs::path folder = dir / "certs";
  SystemClock clock;
  QuietLog log{clock};
  SystemProcesses processes;
  Mosquitto broker{dir.path()};
  Endpoint port{"127.0.0.1", free_port()};
  DeploymentTarget target;

  WithMosquitto() {
    fs::permissions(dir.path(), fs::perms(0755));
    target.name = "mqtt.example";
    target.identifiers = {{Identifier::Type::dns, "mqtt.example"}};
    target.folder = folder;
    target.ownership = {{}, {}, 0640};
    target.reloaders = {reload_process(broker.name(), processes)};
    target.probes = {port};
    target.probe_timeout = 5s;
  }

  CertifiedKey pair(const PrivateKey& key, const TestCa& authority = ca(), Duration age = 1h) const {
    const TimePoint begin = clock.now() - age;
    return {key, authority.issue(key, target.identifiers, {begin, begin + 90 * day})};
  }

  Deployment deploy(const CertifiedKey& held) { return Deployer(clock, log).deploy(target, held, Effort::full, {}); }

  /// The files lie there before the broker runs, as after a first issuance.
  CertifiedKey install(const CertifiedKey& held) {
    const std::vector<Endpoint> probes = std::exchange(target.probes, {});
    REQUIRE(deploy(held).state == State::done);
    target.probes = probes;
    return held;
  }

  /// `listener PORT ADDRESS` with the files that the names say, from the folder.
  std::string listener(const std::string& certificate = "fullchain.pem", const std::string& key = "privkey.pem",
                       const std::string& more = "") const {
    return "listener " + std::to_string(port.port) + " 127.0.0.1\ncertfile " + (folder / certificate).string() +
           "\nkeyfile " + (folder / key).string() + "\n" + more;
  }
  void start() { broker.start(listener()); }

  bool serves(const CertifiedKey& expected) const { return judge(look_at(port, "", 5s, {}), expected.chain).ok; }
  bool shows_something() const { return look_at(port, "", 5s, {}).front().state == Look::State::shown; }

  /// Writes into the file that the broker reads, as `cp` does.
  void overwrite(const std::string& name, std::string_view content) const { std::ofstream(folder / name) << content; }
};

bool says(const Deployment& deployment, const std::string& words) {
  CAPTURE(deployment.detail);
  return deployment.detail.find(words) != std::string::npos;
}

TEST_CASE("Mosquitto serves a renewed certificate with a new key, and who is connected stays connected (E1, E15)") {
  WithMosquitto t;
  t.install(t.pair(rsa_key(), ca(), 60 * day));
  t.start();
  MqttClient client(t.port);
  const CertifiedKey held = t.pair(other_rsa_key());
  const Deployment deployment = t.deploy(held);
  CAPTURE(deployment.detail);
  CHECK(deployment.state == State::done);
  CHECK(deployment.reloaded);
  CHECK(t.serves(held));
  CHECK(client.alive());
}

TEST_CASE("Mosquitto follows a renewal with the same key, of RSA and of EC") {
  for (const PrivateKey& key : {rsa_key(), ec_key()}) {
    WithMosquitto t;
    t.install(t.pair(key, ca(), 60 * day));
    t.start();
    const CertifiedKey held = t.pair(key);
    CHECK(t.deploy(held).state == State::done);
    CHECK(t.serves(held));
  }
}

TEST_CASE("Mosquitto follows combined.pem, which one open reads as certificate and as key (E30)") {
  WithMosquitto t;
  t.install(t.pair(rsa_key(), ca(), 60 * day));
  t.broker.start(t.listener("combined.pem", "combined.pem"));
  const CertifiedKey held = t.pair(other_rsa_key());
  CHECK(t.deploy(held).state == State::done);
  CHECK(t.serves(held));
}

TEST_CASE("Mosquitto starts with a placeholder and serves the real certificate after a mere reload (E31)") {
  for (const PrivateKey& key : {rsa_key(), ec_key()}) {
    WithMosquitto t;
    const std::optional<Deployment> placed = Deployer(t.clock, t.log).deploy_placeholder(t.target, key, {});
    REQUIRE(placed.has_value());
    REQUIRE(placed->switched);
    t.start();
    const CertifiedKey held = t.pair(key);
    CHECK(t.deploy(held).state == State::done);
    CHECK(t.serves(held));
  }
}

TEST_CASE("Mosquitto's user can read what root deploys, and others cannot") {
  if (::geteuid() != 0) return;
  WithMosquitto t;
  t.install(t.pair(rsa_key(), ca(), 60 * day));
  t.start();
  CHECK(t.deploy(t.pair(other_rsa_key())).state == State::done);
  struct stat status {};
  REQUIRE(::stat((t.folder / "privkey.pem").c_str(), &status) == 0);
  CHECK(status.st_gid == t.processes.find(t.broker.pid())->gid);
  CHECK(status.st_gid != 0);
  CHECK((status.st_mode & 0777) == 0640);
}

TEST_CASE("Mosquitto keeps its certificate where it could not read the new one (E6)") {
  if (::geteuid() != 0) return;
  WithMosquitto t;
  const CertifiedKey old = t.install(t.pair(rsa_key(), ca(), 60 * day));
  t.start();
  SUBCASE("because of the files") {
    t.target.ownership = {0, 0, 0600};
    t.target.owner_given = true;
  }
  SUBCASE("because of a folder on the way") {
    fs::permissions(t.dir.path(), fs::perms(0700));
  }
  const Deployment deployment = t.deploy(t.pair(other_rsa_key()));
  CHECK(deployment.state == State::failed);
  CHECK_FALSE(deployment.switched);
  CHECK(says(deployment, t.broker.name()));
  CHECK(t.serves(old));
  t.broker.hang_up();
  fs::permissions(t.dir.path(), fs::perms(0755));
  CHECK(t.serves(old));
}

TEST_CASE("Mosquitto that lost all handshakes by half a renewal and a reload is mended (E3, E4, E5, E7b, E7c)") {
  WithMosquitto t;
  const CertifiedKey held = t.install(t.pair(rsa_key()));
  t.start();
  MqttClient client(t.port);
  const CertifiedKey other = t.pair(other_rsa_key());
  SUBCASE("new certificate, old key") {
    t.overwrite("fullchain.pem", other.chain.pem());
  }
  SUBCASE("new certificate, no key") {
    t.overwrite("fullchain.pem", other.chain.pem());
    fs::remove(t.folder / "privkey.pem");
  }
  SUBCASE("new certificate, empty key") {
    t.overwrite("fullchain.pem", other.chain.pem());
    t.overwrite("privkey.pem", "");
  }
  SUBCASE("new leaf, half a chain") {
    t.overwrite("fullchain.pem", other.chain.pem().substr(0, other.chain.pem().size() - 100));
    t.overwrite("privkey.pem", other.key.to_pem().reveal());
  }
  t.broker.hang_up();
  REQUIRE_FALSE(t.shows_something());
  const Deployment deployment = t.deploy(held);
  CAPTURE(deployment.detail);
  CHECK(deployment.state == State::done);
  CHECK(t.serves(held));
  CHECK(client.alive());
}

TEST_CASE("Mosquitto that kept the old pair since the files were damaged gets whole ones (E2, E4b, E7)") {
  WithMosquitto t;
  const CertifiedKey held = t.install(t.pair(rsa_key()));
  t.start();
  SUBCASE("certificate missing") {
    fs::remove(t.folder / "fullchain.pem");
  }
  SUBCASE("certificate empty") {
    t.overwrite("fullchain.pem", "");
  }
  SUBCASE("leaf truncated") {
    t.overwrite("fullchain.pem", held.chain.pem().substr(0, 300));
  }
  SUBCASE("a new key alone") {
    t.overwrite("privkey.pem", other_rsa_key().to_pem().reveal());
  }
  t.broker.hang_up();
  CHECK(t.deploy(held).state == State::done);
  t.broker.stop();
  t.start();
  CHECK(t.serves(held));
}

TEST_CASE("Mosquitto that cannot start with torn files starts with a deployed pair (E9)") {
  WithMosquitto t;
  const CertifiedKey held = t.install(t.pair(rsa_key()));
  t.overwrite("privkey.pem", "");
  CHECK_THROWS(t.start());
  t.target.probe_is_default = true;
  CHECK(t.deploy(held).state == State::done);
  t.start();
  CHECK(t.serves(held));
}

TEST_CASE("Mosquitto cannot swap kinds of key by a reload: it is left alone until it was restarted (E8, E8b, E32)") {
  for (const bool to_rsa : {true, false}) {
    CAPTURE(to_rsa);
    WithMosquitto t;
    const CertifiedKey old = t.install(t.pair(to_rsa ? ec_key() : rsa_key(), ca(), 60 * day));
    t.start();
    const CertifiedKey held = t.pair(to_rsa ? rsa_key() : ec_key());
    CHECK(t.deploy(held).state == State::restart_needed);
    CHECK(t.serves(old));
    t.broker.hang_up();  // logrotate
    CHECK_FALSE(t.serves(held));
    const Deployment again = t.deploy(held);
    CHECK(again.state == State::restart_needed);
    CHECK(says(again, "restart the broker"));
    t.broker.stop();
    t.start();
    CHECK(t.deploy(held).state == State::done);
    CHECK(t.serves(held));
  }
}

TEST_CASE("the pair before comes back to Mosquitto when its handshakes break with the reload") {
  WithMosquitto t;
  const CertifiedKey old = t.install(t.pair(rsa_key(), ca(), 60 * day));
  t.start();
  MqttClient client(t.port);
  // The first time the hook spoils the key that was just deployed.
  const std::string hook = "test -e " + (t.dir / "once").string() + " || : >\"$CERTIFICATE_DIR/privkey.pem\"; touch " +
                           (t.dir / "once").string() + "; kill -HUP " + std::to_string(t.broker.pid());
  t.target.reloaders = {reload_command({"sh", "-c", hook}, 10s, t.processes)};
  t.target.probe_timeout = 1s;
  const Deployment deployment = t.deploy(t.pair(other_rsa_key()));
  CAPTURE(deployment.detail);
  CHECK(deployment.state == State::failed);
  CHECK(deployment.rolled_back);
  CHECK(says(deployment, "put back and are served"));
  CHECK(t.serves(old));
  CHECK(client.alive());
}

TEST_CASE("Mosquitto that wants client certificates is judged by the certificate that it shows") {
  WithMosquitto t;
  t.install(t.pair(rsa_key(), ca(), 60 * day));
  write_file(t.dir / "devices-ca.pem", TestCa().root_pem(), {{}, {}, 0644});
  t.broker.start(t.listener("fullchain.pem", "privkey.pem",
                            "cafile " + (t.dir / "devices-ca.pem").string() + "\nrequire_certificate true\n"));
  const CertifiedKey held = t.pair(other_rsa_key());
  CHECK(t.deploy(held).state == State::done);
  const std::vector<Look> looks = look_at(t.port, "", 5s, {});
  REQUIRE(looks.size() == 2);
  CHECK_FALSE(looks[1].peer.completed);
}

TEST_CASE("Mosquitto of TLS 1.3 only need not please a client of TLS 1.2") {
  WithMosquitto t;
  t.install(t.pair(rsa_key(), ca(), 60 * day));
  t.broker.start(t.listener("fullchain.pem", "privkey.pem", "tls_version tlsv1.3\n"));
  CHECK(t.deploy(t.pair(rsa_key())).state == State::done);
}

TEST_CASE(
    "the guides' layout of cert.pem and a cafile loses its chain with another intermediate, and that is told (E10)") {
  WithMosquitto t;
  t.install(t.pair(rsa_key(), ca(), 60 * day));
  t.broker.start(t.listener("cert.pem", "privkey.pem", "cafile " + (t.folder / "chain.pem").string() + "\n"));
  t.target.probe_timeout = 500ms;
  CHECK(t.deploy(t.pair(rsa_key(), ca(), 2h)).state == State::done);
  const TestCa other_intermediate;
  const Deployment deployment = t.deploy(t.pair(rsa_key(), other_intermediate));
  CHECK(deployment.state == State::failed);
  CHECK(says(deployment, "certfile must be fullchain.pem"));
}

TEST_CASE("every listener and every address of Mosquitto is looked at") {
  WithMosquitto t;
  t.install(t.pair(rsa_key(), ca(), 60 * day));
  const std::uint16_t second = free_port();
  std::string both = t.listener() + t.listener();
  const std::size_t at = both.rfind(std::to_string(t.port.port) + " 127.0.0.1");
  both.replace(at, std::to_string(t.port.port).size() + 10, std::to_string(second) + " 127.0.0.1");
  t.broker.start(both);
  t.target.probes = {t.port, {"localhost", second}};
  const Deployment deployment = t.deploy(t.pair(other_rsa_key()));
  CAPTURE(deployment.detail);
  CHECK(deployment.state == State::done);
  const auto all_ok =
      std::all_of(deployment.seen.begin(), deployment.seen.end(), [](const Seen& seen) { return seen.ok; });
  CHECK(all_ok);
  CHECK(deployment.seen.size() >= 2);
}

TEST_CASE("the plain port of Mosquitto is no place to look for a certificate") {
  WithMosquitto t;
  t.broker.start("listener " + std::to_string(t.port.port) + " 127.0.0.1\n");
  t.target.probe_timeout = 300ms;
  const CertifiedKey held = t.pair(rsa_key());
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::waiting);
  CHECK(deployment.switched);
  CHECK_FALSE(deployment.rolled_back);
  CHECK(says(deployment, t.port.text()));
  CHECK(says(deployment, "port for TLS"));
}

TEST_CASE("Mosquitto that ends on the reload is named, and serves the new pair when it is started again") {
  WithMosquitto t;
  t.install(t.pair(rsa_key(), ca(), 60 * day));
  t.start();
  t.target.reloaders.push_back(reload_command({"kill", std::to_string(t.broker.pid())}, 10s, t.processes));
  t.target.probe_timeout = 1s;
  const CertifiedKey held = t.pair(other_rsa_key());
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::waiting);
  CHECK(says(deployment, t.broker.name()));
  CHECK(says(deployment, "ended on the reload"));
  t.broker.stop();
  t.start();
  CHECK(t.serves(held));
  CHECK(t.deploy(held).state == State::done);
}

TEST_CASE("Mosquitto is found by the pidfile that it wrote itself") {
  WithMosquitto t;
  t.install(t.pair(rsa_key(), ca(), 60 * day));
  fs::create_directory(t.dir / "run");
  fs::permissions(t.dir / "run", fs::perms(0777));
  t.broker.start("pid_file " + (t.dir / "run/pid").string() + "\n" + t.listener());
  t.target.reloaders = {reload_pidfile(t.dir / "run/pid", t.processes)};
  const CertifiedKey held = t.pair(other_rsa_key());
  CHECK(t.deploy(held).state == State::done);
  CHECK(t.serves(held));

  SUBCASE("and not by the same file after it was started again without one") {
    t.broker.stop();
    t.start();
    t.target.probe_timeout = 100ms;
    CHECK(t.deploy(t.pair(rsa_key(), ca(), 30min)).state == State::waiting);
    CHECK(t.serves(held));
  }
}

TEST_CASE("certbot's copies under a running Mosquitto become generations, and it follows") {
  WithMosquitto t;
  const CertifiedKey old = t.pair(rsa_key(), ca(), 60 * day);
  fs::create_directories(t.folder);
  const Ownership readable{{}, {}, 0644};
  write_file(t.folder / "cert.pem", old.chain.leaf_pem(), readable);
  write_file(t.folder / "chain.pem", old.chain.rest_pem(), readable);
  write_file(t.folder / "fullchain.pem", old.chain.pem(), readable);
  write_file(t.folder / "privkey.pem", old.key.to_pem().reveal(), readable);
  t.start();
  REQUIRE(t.serves(old));
  const CertifiedKey held = t.pair(other_rsa_key());
  CHECK(t.deploy(held).state == State::done);
  CHECK(t.serves(held));
  CHECK(fs::is_symlink(t.folder / "privkey.pem"));
}

}  // namespace
}  // namespace acme_agent::test
