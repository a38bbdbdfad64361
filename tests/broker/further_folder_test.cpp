#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <acme_agent/broker/deployer.hpp>
#include <acme_agent/sys/processes.hpp>

#include "broker/keys.hpp"
#include "support/fake_clock.hpp"
#include "support/quiet_log.hpp"
#include "support/temp_dir.hpp"
#include "support/test_ca.hpp"

namespace acme_agent::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Format = FurtherFolder::Format;
using State = Deployment::State;

/// A broker's folder and a further one; nobody is told, nobody is looked at.
struct Deploying {
  TempDir dir;
  FakeClock clock;
  QuietLog log{clock};
  TestCa ca;
  DeploymentTarget target;

  explicit Deploying(Format format = Format::pem) {
    target.name = "mqtt.example";
    target.identifiers = {{Identifier::Type::dns, "mqtt.example"}};
    target.folder = dir / "certs";
    target.ownership.mode = 0640;
    target.further = {{dir / "further", {{}, {}, 0600}, format, ""}};
    fs::create_directory(dir / "certs");
    fs::create_directory(dir / "further");
  }

  CertifiedKey pair(const PrivateKey& key) const {
    return {key, ca.issue(key, target.identifiers, {clock.now() - 1h, clock.now() + 90 * 24h})};
  }
  Deployment deploy(const CertifiedKey& held, const std::string& stamp = "") {
    return Deployer(clock, log).deploy(target, held, Effort::full, {}, stamp);
  }
  std::string text(const std::string& file) const {
    std::ifstream stream(dir / file);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir / "further"))
      if (entry.path().extension() != "" && entry.path().filename().native().front() != '.')
        names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
};

/// What OpenSSL's own program finds in a keystore.
CommandResult opened(const fs::path& keystore, const std::string& password) {
  return SystemProcesses().run({"openssl", "pkcs12", "-in", keystore, "-passin", "pass:" + password, "-nodes"}, {}, 10s,
                               {});
}

}  // namespace

TEST_CASE("a placeholder stands in a further folder, too, where nothing lies, and gives way to the real certificate") {
  for (const Format format : {Format::combined, Format::pkcs12}) {
    Deploying t(format);
    REQUIRE(Deployer(t.clock, t.log).deploy_placeholder(t.target, rsa_key(), {}));
    const std::vector<std::string> placed = t.files();
    CHECK_FALSE(placed.empty());
    const CertifiedKey held = t.pair(rsa_key());
    CHECK(t.deploy(held).state == State::done);
    CHECK(t.files() == placed);
    CHECK(t.target.further.front().holds(held));
  }
}

TEST_CASE("a placeholder replaces nothing in a further folder") {
  Deploying t;
  std::ofstream(t.dir / "further/privkey.pem") << "somebody's";
  REQUIRE(Deployer(t.clock, t.log).deploy_placeholder(t.target, rsa_key(), {}));
  CHECK(t.files() == std::vector<std::string>{"privkey.pem"});
  CHECK(t.text("further/privkey.pem") == "somebody's");
}

TEST_CASE("a further folder gets the same files, with owner and mode of its own") {
  Deploying t;
  const CertifiedKey held = t.pair(rsa_key());
  CHECK(t.deploy(held).state == State::done);
  for (const std::string file : {"cert.pem", "chain.pem", "fullchain.pem", "privkey.pem", "combined.pem"})
    CHECK(t.text("further/" + file) == t.text("certs/" + file));
  struct stat status {};
  REQUIRE(::stat((t.dir / "further/privkey.pem").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
}

TEST_CASE("a combined output is one file") {
  Deploying t(Format::combined);
  CHECK(t.deploy(t.pair(rsa_key())).state == State::done);
  CHECK(t.files() == std::vector<std::string>{"combined.pem"});
}

TEST_CASE("a keystore opens with the usual password, or with the one in a file, and has key and chain") {
  Deploying t(Format::pkcs12);
  std::string password = "changeit";
  SUBCASE("usual") {}
  SUBCASE("own") {
    password = "a long one";
    t.target.further[0].password_file = t.dir / "password";
    std::ofstream(t.dir / "password") << password << "\n";
  }
  const CertifiedKey held = t.pair(rsa_key());
  CHECK(t.deploy(held).state == State::done);
  CHECK(t.files() == std::vector<std::string>{"cert.pem", "keystore.p12"});
  const CommandResult found = opened(t.dir / "further/keystore.p12", password);
  CHECK(found.exit_code == 0);
  CHECK(found.output.find("-----END PRIVATE KEY-----") != std::string::npos);
  for (const Certificate& certificate : held.chain.certificates()) {
    const std::string pem = certificate.pem();
    CHECK(found.output.find(pem.substr(pem.size() - 200)) != std::string::npos);
  }
  CHECK(opened(t.dir / "further/keystore.p12", "wrong").exit_code != 0);
}

TEST_CASE("what lies there already is not written again, and what was spoilt is") {
  for (const Format format : {Format::pem, Format::combined, Format::pkcs12}) {
    Deploying t(format);
    const CertifiedKey held = t.pair(rsa_key());
    t.deploy(held);
    const fs::path generation = fs::read_symlink(t.dir / "further/..data");
    CHECK(t.deploy(held).state == State::done);
    CHECK(fs::read_symlink(t.dir / "further/..data") == generation);
    const std::string stamp = Deployer::stamp(t.target);
    for (const std::string& file : t.files()) fs::remove(t.dir / "further" / file);
    CHECK(Deployer::stamp(t.target) != stamp);
    CHECK(t.deploy(held, stamp).state == State::done);
    CHECK(fs::read_symlink(t.dir / "further/..data") != generation);
    CHECK_FALSE(t.files().empty());
  }
}

TEST_CASE("a further folder that cannot be written is told, and keeps the broker from nothing") {
  Deploying t;
  fs::remove(t.dir / "further");
  std::ofstream(t.dir / "further") << "a file";
  const CertifiedKey held = t.pair(rsa_key());
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::failed);
  CHECK(deployment.detail.find((t.dir / "further").native()) != std::string::npos);
  CHECK(t.text("certs/fullchain.pem") == held.chain.pem());
  fs::remove(t.dir / "further");
  fs::create_directory(t.dir / "further");
  CHECK(t.deploy(held, deployment.stamp).state == State::done);
  CHECK(t.text("further/fullchain.pem") == held.chain.pem());
}

TEST_CASE("a keystore without its password file is told by its name") {
  Deploying t(Format::pkcs12);
  t.target.further[0].password_file = t.dir / "gone";
  const Deployment deployment = t.deploy(t.pair(rsa_key()));
  CHECK(deployment.state == State::failed);
  CHECK(deployment.detail == "there is no password file " + (t.dir / "gone").native());
}

}  // namespace acme_agent::test
