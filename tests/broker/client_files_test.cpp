#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include <acme_agent/broker/deployer.hpp>
#include <acme_agent/crypto/issuing.hpp>
#include <acme_agent/crypto/revocation_list.hpp>

#include "broker/fake_broker.hpp"
#include "broker/keys.hpp"
#include "support/fake_clock.hpp"
#include "support/quiet_log.hpp"
#include "support/recording_processes.hpp"
#include "support/temp_dir.hpp"
#include "support/test_ca.hpp"

namespace acme_agent::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using State = Deployment::State;

constexpr auto day = 24h;

/// OpenSSL's clock is the machine's.
Validity always() {
  return {std::chrono::sys_days{std::chrono::year{2020} / 1 / 1},
          std::chrono::sys_days{std::chrono::year{2090} / 1 / 1}};
}

/// An authority with two devices, one of them revoked.
class Devices final : public ClientAuthority {
 public:
  Devices() { sign(1, true); }

  std::optional<ClientFiles> files(TimePoint) override {
    if (!trouble.empty()) throw Error(Remedy::ask_operator, trouble);
    return ClientFiles{root_.certificate.pem(), list, ClientProof{good_, revoked_}};
  }

  bool exists() const override { return true; }

  void sign(std::uint64_t number, bool revoked, const std::string& stolen = "", const Validity& validity = always()) {
    RevocationList unsigned_list{
        .number = number, .this_update = validity.not_before, .next_update = validity.not_after};
    if (revoked) unsigned_list.revoked.push_back({revoked_.chain.leaf().serial(), validity.not_before});
    if (!stolen.empty()) unsigned_list.revoked.push_back({stolen, validity.not_before});
    list = make_crl(root_, unsigned_list);
  }

  std::string list;
  std::string trouble;  ///< Why the files cannot be had; empty: they can.

 private:
  CertifiedKey device(const std::string& name) const {
    return {key_, CertificateChain({issue_client_certificate(root_, key_, name, always())})};
  }

  const PrivateKey root_key_ = PrivateKey::generate(KeyType::ec256);
  const Issuer root_{root_key_, make_root(root_key_, "devices", {}, always())};
  const PrivateKey key_ = PrivateKey::generate(KeyType::ec256);
  const CertifiedKey good_ = device("good");
  const CertifiedKey revoked_ = device("revoked");
};

/// A broker that asks devices for certificates.
struct Asking {
  TempDir dir;
  fs::path folder = dir / "certs";
  FakeClock clock;
  QuietLog log{clock};
  RecordingProcesses processes;
  FakeBroker broker{folder};
  std::shared_ptr<Devices> devices = std::make_shared<Devices>();
  TestCa ca;
  DeploymentTarget target;
  CertifiedKey held = pair();

  Asking() {
    fs::permissions(dir.path(), fs::perms(0755));
    target.name = "mqtt.example";
    target.identifiers = {{Identifier::Type::dns, "mqtt.example"}};
    target.folder = folder;
    target.ownership = {{}, {}, 0640};
    target.reloaders = {reload_process("mosquitto", processes)};
    target.probes = {broker.endpoint()};
    target.clients = devices;
    broker.ask_for_certificates();
    processes.start("mosquitto", 812);
    processes.on_signal = [this](const Process&, int) { broker.load(); };
  }

  CertifiedKey pair() const {
    return {rsa_key(),
            ca.issue(rsa_key(), {{Identifier::Type::dns, "mqtt.example"}}, {clock.now() - 1h, clock.now() + 90 * day})};
  }
  Deployment deploy(Effort effort = Effort::full, const std::string& stamp = "") {
    return Deployer(clock, log).deploy(target, held, effort, {}, stamp);
  }
  std::string file(const std::string& name) const {
    const std::optional<Secret> content = read_file(folder / name);
    return content ? std::string(content->reveal()) : "(none)";
  }
};

bool says(const Deployment& deployment, const std::string& words) {
  CAPTURE(deployment.detail);
  return deployment.detail.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE(
    "what tells devices by their certificates lies beside the pair, and is proven where the broker asks for one") {
  Asking t;
  const Deployment done = t.deploy();
  CAPTURE(done.detail);
  CHECK(done.state == State::done);
  CHECK(t.file("devices.crl") == t.devices->list);
  CHECK(t.file("devices-ca.pem").find("BEGIN CERTIFICATE") != std::string::npos);
  CHECK(t.file("fullchain.pem") == t.held.chain.pem());
  const std::size_t told = t.processes.signals.size();
  CHECK(t.deploy(Effort::full, done.stamp).state == State::done);
  CHECK(t.processes.signals.size() == told);
}

TEST_CASE("another list alone is a new generation, told to the broker and proven, whatever little is to be done") {
  Asking t;
  const Deployment before = t.deploy();
  const fs::path generation = fs::read_symlink(t.folder / "..data");
  t.devices->sign(2, true);
  const Deployment done = t.deploy(Effort::look, before.stamp);
  CAPTURE(done.detail);
  CHECK(done.state == State::done);
  CHECK(done.reloaded);
  CHECK(fs::read_symlink(t.folder / "..data") != generation);
  CHECK(t.file("devices.crl") == t.devices->list);
  CHECK(t.file("fullchain.pem") == t.held.chain.pem());
  CHECK(done.stamp != before.stamp);
}

TEST_CASE("a broker that lets in a revoked device is told of, and told again by the next full look") {
  Asking t;
  t.devices->sign(1, false);
  const Deployment wrong = t.deploy();
  CHECK(wrong.state == State::failed);
  CHECK(says(wrong, "lets in a device whose certificate is revoked"));
  CHECK(t.deploy(Effort::look, wrong.stamp).state == State::failed);
  const std::size_t told = t.processes.signals.size();
  CHECK(t.deploy(Effort::full, wrong.stamp).state == State::failed);
  CHECK(t.processes.signals.size() == told + 1);
  t.devices->sign(2, true);
  CHECK(t.deploy(Effort::full, wrong.stamp).state == State::done);
}

TEST_CASE("a broker that refuses good devices is told of, with what it may be") {
  Asking t;
  Devices others;
  t.processes.on_signal = [&](const Process&, int) {
    const std::string ours = t.file("devices-ca.pem");
    write_file(t.folder / "devices-ca.pem", others.files({})->ca, {});
    t.broker.load();
    write_file(t.folder / "devices-ca.pem", ours, {});
  };
  const Deployment wrong = t.deploy();
  CHECK(wrong.state == State::failed);
  CHECK(says(wrong, "refuses a device with a good certificate: the server refused the handshake"));
  CHECK(says(wrong, "is its cafile the devices-ca.pem"));
}

TEST_CASE("a listener that asks for no certificate needs no proof, nor one where no device has any") {
  Asking t;
  FakeBroker simple(t.folder);
  t.devices->sign(1, false);
  t.target.probes = {simple.endpoint()};
  t.processes.on_signal = [&](const Process&, int) { simple.load(); };
  CHECK(t.deploy().state == State::done);
}

TEST_CASE("an authority that cannot be asked leaves what lies there, keeps no certificate back, and is told of") {
  Asking t;
  t.deploy();
  const std::string list = t.file("devices.crl");
  t.devices->trouble = "the passphrase is gone";
  t.clock.advance(day);
  t.held = t.pair();
  const Deployment done = t.deploy();
  CHECK(done.state == State::failed);
  CHECK(done.detail == "the passphrase is gone");
  CHECK(t.file("fullchain.pem") == t.held.chain.pem());
  CHECK(t.file("devices.crl") == list);
}

TEST_CASE("where an authority is no more, its last list stays, as the broker may end without it") {
  Asking t;
  t.deploy();
  t.target.clients = nullptr;
  t.clock.advance(day);
  t.held = t.pair();
  CHECK(t.deploy().state == State::done);
  CHECK(t.file("devices.crl") == t.devices->list);
}

TEST_CASE("when a pair has to go back, a list with one more device does not go with it") {
  Asking t;
  t.deploy();
  const CertifiedKey before = t.held;
  t.clock.advance(day);
  t.held = {other_rsa_key(), t.ca.issue(other_rsa_key(), t.target.identifiers, {t.clock.now(), t.clock.now() + day})};
  t.devices->sign(2, true, "5701e2");
  t.processes.on_signal = [&t, first = true](const Process&, int) mutable {
    if (std::exchange(first, false)) write_file(t.folder / "privkey.pem", "", {});
    t.broker.load();
  };
  const Deployment done = t.deploy();
  CHECK(done.rolled_back);
  CHECK(says(done, "put back and are served"));
  CHECK(t.file("fullchain.pem") == before.chain.pem());
  CHECK(t.file("devices.crl") == t.devices->list);
}

TEST_CASE("a pair goes back to the very files that the broker could read, where the list beside them is the same") {
  Asking t;
  t.deploy();
  const fs::path generation = fs::read_symlink(t.folder / "..data");
  t.clock.advance(day);
  t.held = {other_rsa_key(), t.ca.issue(other_rsa_key(), t.target.identifiers, {t.clock.now(), t.clock.now() + day})};
  t.processes.on_signal = [&t, first = true](const Process&, int) mutable {
    if (std::exchange(first, false)) write_file(t.folder / "privkey.pem", "", {});
    t.broker.load();
  };
  CHECK(t.deploy().rolled_back);
  CHECK(fs::read_symlink(t.folder / "..data") == generation);
}

TEST_CASE("a list that was merely signed again, and breaks the handshakes, leaves the files that did not") {
  struct Case {
    std::string stolen;  ///< Revoked by the list before.
    Validity before;
    bool goes_back;
  };
  const TimePoint now = FakeClock().now();
  for (const Case& one :
       {Case{"", always(), true}, Case{"5701e2", always(), true},
        Case{"", {always().not_before, now + day - 1s}, false}, Case{"", {now + 2 * day, always().not_after}, false}}) {
    Asking t;
    t.devices->sign(1, true, one.stolen, one.before);
    t.deploy();
    const fs::path generation = fs::read_symlink(t.folder / "..data");
    t.clock.advance(day);
    t.devices->sign(2, true);
    t.processes.on_signal = [&t, first = true](const Process&, int) mutable {
      if (std::exchange(first, false)) write_file(t.folder / "..data" / "privkey.pem", "", {});
      t.broker.restart();  // a listener that asks for certificates begins with nothing at a reload
    };
    CHECK(t.deploy().rolled_back);
    CAPTURE(one.stolen);
    CHECK((fs::read_symlink(t.folder / "..data") == generation) == one.goes_back);
  }
}

TEST_CASE("a placeholder has them beside it, so that a broker which names them can start") {
  Asking t;
  CHECK(Deployer(t.clock, t.log).deploy_placeholder(t.target, rsa_key(), {}));
  CHECK(t.file("devices.crl") == t.devices->list);
}

}  // namespace acme_agent::test
