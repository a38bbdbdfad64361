#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/broker/deployer.hpp>
#include <acme_agent/sys/file.hpp>

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
const std::vector<std::string> all_files{"cert.pem", "chain.pem", "fullchain.pem", "privkey.pem", "combined.pem"};

const TestCa& ca() {
  static const TestCa authority;
  return authority;
}

/// A broker's folder, a listener that reads it, and the process that stands for it; time passes only by waiting.
struct Deploying {
  TempDir dir;
  fs::path folder = dir / "certs";
  FakeClock clock;
  QuietLog log{clock};
  RecordingProcesses processes;
  FakeBroker broker{folder};
  std::stop_source stop;
  DeploymentTarget target;

  Deploying() {
    fs::permissions(dir.path(), fs::perms(0755));
    target.name = "mqtt.example";
    target.identifiers = {{Identifier::Type::dns, "mqtt.example"}};
    target.folder = folder;
    target.ownership = {{}, {}, 0640};
    target.reloaders = {reload_process("mosquitto", processes)};
    target.probes = {broker.endpoint()};
    processes.start("mosquitto", 812);
    processes.on_signal = [this](const Process&, int) { broker.load(); };
  }

  /// A pair issued an hour ago, or `age` ago.
  CertifiedKey pair(const PrivateKey& key, Duration age = 1h, Duration lifetime = 90 * day,
                    const TestCa& authority = ca()) const {
    const TimePoint begin = clock.now() - age;
    return {key, authority.issue(key, target.identifiers, {begin, begin + lifetime})};
  }

  Deployment deploy(const CertifiedKey& held, Effort effort = Effort::full, const std::string& stamp = "") {
    return Deployer(clock, log).deploy(target, held, effort, stop.get_token(), stamp);
  }
  std::optional<Deployment> place(const PrivateKey& key) {
    return Deployer(clock, log).deploy_placeholder(target, key, stop.get_token());
  }
  /// Deployed and served, and what it took is forgotten.
  CertifiedKey deployed_before(const PrivateKey& key, Duration age = 30 * day) {
    const CertifiedKey held = pair(key, age);
    REQUIRE(deploy(held).state == State::done);
    processes.signals.clear();
    return held;
  }

  std::string file(const std::string& name) const {
    const std::optional<Secret> content = read_file(folder / name);
    return content ? std::string(content->reveal()) : "(none)";
  }
  /// As by hand, or by another program: no link of ours any more.
  void put(const std::string& name, const std::string& content) {
    fs::create_directories(folder);
    fs::remove(folder / name);
    write_file(folder / name, content, {{}, {}, 0600});
  }
  void put_as_certbot(const CertifiedKey& lying) {
    put("cert.pem", lying.chain.leaf_pem());
    put("chain.pem", lying.chain.rest_pem());
    put("fullchain.pem", lying.chain.pem());
    put("privkey.pem", std::string(lying.key.to_pem().reveal()));
  }
  bool lies(const CertifiedKey& expected) const {
    const std::string key(expected.key.to_pem().reveal());
    return file("cert.pem") == expected.chain.leaf_pem() && file("chain.pem") == expected.chain.rest_pem() &&
           file("fullchain.pem") == expected.chain.pem() && file("privkey.pem") == key &&
           file("combined.pem") == key + expected.chain.pem();
  }
  bool serves(const CertifiedKey& expected) const {
    return judge(look_at(broker.endpoint(), "", 5s, {}), expected.chain).ok;
  }
  /// Every path below the folder with what would change if it were written.
  std::map<std::string, std::pair<ino_t, fs::file_time_type>> traces() const {
    std::map<std::string, std::pair<ino_t, fs::file_time_type>> found;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
      struct stat status {};
      REQUIRE(::lstat(entry.path().c_str(), &status) == 0);
      const auto changed = entry.is_symlink() ? fs::file_time_type{} : fs::last_write_time(entry.path());
      found[entry.path()] = {status.st_ino, changed};
    }
    return found;
  }
};

bool says(const Deployment& deployment, const std::string& words) {
  CAPTURE(deployment.detail);
  return deployment.detail.find(words) != std::string::npos;
}

TEST_CASE("a held pair gets to the folder and to the wire") {
  Deploying t;
  const CertifiedKey held = t.pair(rsa_key());
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::done);
  CHECK(deployment.switched);
  CHECK(deployment.reloaded);
  CHECK_FALSE(deployment.rolled_back);
  CHECK(deployment.detail.empty());
  REQUIRE(deployment.seen.size() == 1);
  CHECK(deployment.seen[0].endpoint == t.broker.endpoint().text());
  CHECK(deployment.seen[0].address == "127.0.0.1");
  CHECK(deployment.seen[0].ok);
  CHECK(t.lies(held));
  CHECK(t.serves(held));
  CHECK(t.processes.signals == std::vector<RecordingProcesses::Signal>{{812, SIGHUP}});
  for (const std::string& name : all_files) {
    CAPTURE(name);
    CHECK(fs::is_symlink(t.folder / name));
    CHECK(fs::status(t.folder / name).permissions() == fs::perms(0640));
  }
  CHECK(Deployer::deployed(t.target)->chain == held.chain);
}

TEST_CASE("what is deployed and served already costs one look, no signal and no write") {
  Deploying t;
  const CertifiedKey held = t.deployed_before(rsa_key());
  const auto before = t.traces();
  const int connections = t.broker.connections();
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::done);
  CHECK_FALSE(deployment.switched);
  CHECK_FALSE(deployment.reloaded);
  CHECK(deployment.seen.size() == 1);
  CHECK(t.processes.signals.empty());
  CHECK(t.traces() == before);
  CHECK(t.broker.connections() - connections == 2);  // one for each kind of client
}

TEST_CASE("by the stamp of their deployment, files are known without reading them, until one changes") {
  Deploying t;
  t.processes.on_signal = {};
  const CertifiedKey held = t.pair(rsa_key());
  const Deployment unserved = t.deploy(held);
  CHECK(unserved.state != State::done);
  CHECK(unserved.stamp == Deployer::stamp(t.target));
  const CertifiedKey never_written = t.pair(other_rsa_key());
  CHECK_FALSE(t.deploy(never_written, Effort::look, unserved.stamp).switched);
  write_file(t.folder / "privkey.pem", "torn", {});
  const Deployment mended = t.deploy(held, Effort::look, unserved.stamp);
  CHECK(mended.switched);
  CHECK(mended.stamp != unserved.stamp);
  CHECK(t.lies(held));
}

TEST_CASE("a broker that was never told what lies in its folder is told, and nothing is written") {
  Deploying t;
  t.deployed_before(rsa_key());
  const CertifiedKey held = t.pair(rsa_key());
  t.processes.on_signal = nullptr;
  CHECK(t.deploy(held).state == State::failed);
  const auto before = t.traces();
  t.processes.on_signal = [&t](const Process&, int) { t.broker.load(); };
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::done);
  CHECK_FALSE(deployment.switched);
  CHECK(deployment.reloaded);
  CHECK(t.traces() == before);
}

TEST_CASE("a broker that was told once is not told again by a mere look, until it was restarted") {
  Deploying t;
  t.deployed_before(rsa_key());
  const CertifiedKey held = t.pair(rsa_key());
  int told = 0;
  t.processes.on_signal = [&told](const Process&, int) { ++told; };
  const Deployment first = t.deploy(held);
  CHECK(first.state == State::failed);
  CHECK(told == 1);
  const TimePoint before = t.clock.now();
  const Deployment look = t.deploy(held, Effort::look);
  CHECK(look.state == State::failed);
  CHECK(look.detail == first.detail);
  CHECK(told == 1);
  CHECK(t.clock.now() == before);
  CHECK(t.deploy(held).state == State::failed);
  CHECK(told == 2);
  t.processes.end(812);
  t.processes.start("mosquitto", 900);
  CHECK(t.deploy(held, Effort::look).state == State::failed);
  CHECK(told == 3);
}

TEST_CASE("a broker that takes its time is looked at until it serves the new certificate") {
  Deploying t;
  t.deployed_before(rsa_key());
  t.processes.on_signal = [&t](const Process&, int) { t.broker.load_after(9); };
  const TimePoint before = t.clock.now();
  CHECK(t.deploy(t.pair(rsa_key())).state == State::done);
  CHECK(t.clock.now() - before > 5ms);
  CHECK(t.clock.now() - before < 1s);
}

TEST_CASE("a broker that keeps the old certificate is waited for, reported, and never rolled back") {
  Deploying t;
  const CertifiedKey old = t.deployed_before(rsa_key());
  const CertifiedKey held = t.pair(rsa_key());
  t.processes.on_signal = nullptr;
  const TimePoint before = t.clock.now();
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::failed);
  CHECK(deployment.switched);
  CHECK(deployment.reloaded);
  CHECK_FALSE(deployment.rolled_back);
  CHECK(says(deployment, old.chain.leaf().serial()));
  CHECK(says(deployment, t.folder.string()));
  REQUIRE(deployment.seen.size() == 1);
  CHECK_FALSE(deployment.seen[0].ok);
  CHECK(t.clock.now() - before == t.target.probe_timeout);
  CHECK(t.lies(held));
}

TEST_CASE("a handshake that breaks with the reload brings the files before back, and the broker serves them") {
  Deploying t;
  const CertifiedKey old = t.deployed_before(rsa_key());
  t.processes.on_signal = [&t](const Process&, int) {
    // The new key is unreadable for the broker, whatever we could find out before.
    if (t.processes.signals.size() == 1) write_file(t.folder / "privkey.pem", "", {});
    t.broker.load();
  };
  const Deployment deployment = t.deploy(t.pair(other_rsa_key()));
  CHECK(deployment.state == State::failed);
  CHECK(deployment.switched);
  CHECK(deployment.rolled_back);
  CHECK(says(deployment, "showed a certificate before"));
  CHECK(says(deployment, "put back and are served"));
  CHECK(t.serves(old));
  CHECK(t.file("fullchain.pem") == old.chain.pem());
  CHECK(t.processes.signals.size() == 2);

  SUBCASE("and the next deployment tries the new pair again") {
    const CertifiedKey held = t.pair(other_rsa_key());
    t.processes.on_signal = [&t](const Process&, int) { t.broker.load(); };
    CHECK(t.deploy(held).state == State::done);
    CHECK(t.lies(held));
    CHECK(t.serves(held));
  }
}

TEST_CASE(
    "a deployment that was cut off between a reload that broke the handshakes and the look is rolled back later") {
  Deploying t;
  const CertifiedKey old = t.deployed_before(rsa_key());
  const CertifiedKey held = t.pair(other_rsa_key());
  std::string key;
  t.processes.on_signal = [&t, &key](const Process&, int) {  // the new key is unreadable for the broker
    const std::string file = (t.folder / "privkey.pem");
    key = t.file("privkey.pem");
    write_file(file, "", {});
    t.broker.load();
    write_file(file, key, {{}, {}, 0640});
    t.stop.request_stop();
  };
  CHECK_THROWS_AS(t.deploy(held), Stopped);
  t.stop = {};
  int times = 0;
  t.processes.on_signal = [&t, &times](const Process&, int) {
    if (++times > 1) t.broker.load();
  };
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.rolled_back);
  CHECK(says(deployment, "showed a certificate before"));
  CHECK(t.serves(old));

  SUBCASE("once: what broke afterwards has nothing to do with it") {
    t.broker.change_mood(FakeBroker::Mood::plain);
    CHECK_FALSE(t.deploy(held).rolled_back);
  }
}

TEST_CASE("nothing is rolled back to a placeholder, to nothing or to an expired certificate") {
  Deploying t;
  const auto broken = [&t](const Process&, int) {
    write_file(t.folder / "privkey.pem", "", {});
    t.broker.load();
  };
  CertifiedKey held = t.pair(other_rsa_key());
  SUBCASE("placeholder") {
    REQUIRE(t.place(rsa_key()).has_value());
    REQUIRE(t.broker.connections() > 0);
  }
  SUBCASE("expired") {
    t.deployed_before(rsa_key(), 89 * day);
    t.clock.advance(2 * day);
    held = t.pair(other_rsa_key());
  }
  t.processes.on_signal = broken;
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::failed);
  CHECK_FALSE(deployment.rolled_back);
  CHECK(says(deployment, "no good files to go back to"));
  CHECK(t.file("fullchain.pem") == held.chain.pem());
}

TEST_CASE("a broker that was down before and after keeps the new files and is waited for") {
  Deploying t;
  t.deployed_before(rsa_key());
  t.broker.stop();
  t.processes.end(812);
  const CertifiedKey held = t.pair(rsa_key());
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::waiting);
  CHECK_FALSE(deployment.reloaded);
  CHECK_FALSE(deployment.rolled_back);
  CHECK(says(deployment, "is the broker running?"));
  CHECK(t.lies(held));
}

TEST_CASE("a broker that ends on the reload is named, and the new files stay") {
  Deploying t;
  t.deployed_before(rsa_key());
  for (const bool is_default : {false, true}) {
    CAPTURE(is_default);
    if (is_default) t.processes.start("mosquitto", 812);
    t.target.probe_is_default = is_default;
    t.processes.on_signal = [&t](const Process&, int) {
      t.processes.end(812);
      t.broker.stop();
    };
    const CertifiedKey held = t.pair(rsa_key(), is_default ? 1h : 2h);
    const Deployment deployment = t.deploy(held);
    CHECK(deployment.state == State::waiting);
    CHECK_FALSE(deployment.rolled_back);
    CHECK(says(deployment, "mosquitto (pid 812) ended on the reload"));
    CHECK(t.lies(held));
  }
}

TEST_CASE("a port that speaks no TLS before and after is named as such") {
  Deploying t;
  t.broker.change_mood(FakeBroker::Mood::plain);
  const Deployment deployment = t.deploy(t.pair(rsa_key()));
  CHECK(deployment.state == State::waiting);
  CHECK_FALSE(deployment.rolled_back);
  CHECK(says(deployment, t.broker.endpoint().text()));
  CHECK(says(deployment, "is this the broker's port for TLS?"));
}

TEST_CASE("a port that never answers costs its time-out and is no reason to go back") {
  Deploying t;
  t.deployed_before(rsa_key());
  t.target.probe_timeout = 100ms;
  t.broker.change_mood(FakeBroker::Mood::silent);
  const CertifiedKey held = t.pair(rsa_key());
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::waiting);
  CHECK_FALSE(deployment.rolled_back);
  CHECK(t.lies(held));
}

TEST_CASE("another kind of key is installed, never signalled, and served after a restart") {
  for (const bool to_rsa : {true, false}) {
    CAPTURE(to_rsa);
    Deploying t;
    t.deployed_before(to_rsa ? ec_key() : rsa_key());
    const CertifiedKey held = t.pair(to_rsa ? rsa_key() : ec_key());
    const Deployment deployment = t.deploy(held);
    CHECK(deployment.state == State::restart_needed);
    CHECK(deployment.switched);
    CHECK_FALSE(deployment.reloaded);
    CHECK(says(deployment,
               to_rsa ? "serves an EC key and ours is an RSA key" : "serves an RSA key and ours is an EC key"));
    CHECK(says(deployment, "restart"));
    CHECK(t.processes.signals.empty());
    CHECK(t.lies(held));

    t.broker.load();  // logrotate does it every night: now there are two certificates
    const Deployment again = t.deploy(held);
    CHECK(again.state == State::restart_needed);
    CHECK_FALSE(again.switched);
    CHECK(t.processes.signals.empty());

    t.broker.restart();
    const Deployment after = t.deploy(held);
    CHECK(after.state == State::done);
    CHECK_FALSE(after.switched);
    CHECK(t.processes.signals.empty());
  }
}

/// As systemd:UNIT and container:NAME are: one that can restart the broker, too.
struct Restarter final : Reloader {
  explicit Restarter(FakeBroker& fake) : broker(fake) {}
  std::string describe() const override { return "systemd:mosquitto"; }
  bool reload(const Deployed&, const std::stop_token&) override {
    ++reloads;
    if (!deaf) broker.load();
    return true;
  }
  bool restart(const std::stop_token&) override {
    ++restarts;
    if (refuses) throw Error(Remedy::ask_operator, "user 7 may not restart mosquitto.service");
    if (!deaf) broker.restart();
    return true;
  }

  FakeBroker& broker;
  int reloads = 0, restarts = 0;
  bool refuses = false;
  bool deaf = false;  // it goes on with what it has
};

/// A broker that may be restarted from three to four o'clock and serves an EC key, where an RSA key comes.
struct AwaitingNight : Deploying {
  std::shared_ptr<Restarter> restarter = std::make_shared<Restarter>(broker);
  CertifiedKey held;

  AwaitingNight() : held((deployed_before(ec_key()), pair(rsa_key(), 1h))) {
    ::setenv("TZ", "UTC0", 1);
    target.reloaders = {restarter};
    target.restart_window = parse_day_span("03:00-04:00");
    clock.set(std::chrono::floor<std::chrono::days>(clock.now()) + 2h);
    held = pair(rsa_key());
  }
  ~AwaitingNight() { ::unsetenv("TZ"); }

  TimePoint three() const { return std::chrono::floor<std::chrono::days>(clock.now()) + 3h; }
  Deployment deploy_at_three() {
    clock.set(three());
    return deploy(held, Effort::look);
  }
};

TEST_CASE("a broker that needs a restart gets it within the window of the night, once, and no reload") {
  AwaitingNight t;
  const Deployment planned = t.deploy(t.held);
  CHECK(planned.state == State::restart_needed);
  CHECK(planned.next == t.three());
  CHECK(says(planned, "it is restarted at " + format_rfc3339(t.three())));
  CHECK(t.restarter->restarts == 0);

  const Deployment done = t.deploy_at_three();
  CHECK(done.state == State::done);
  CHECK(t.serves(t.held));
  CHECK(t.deploy(t.held).state == State::done);
  CHECK(t.restarter->restarts == 1);
  CHECK(t.restarter->reloads == 0);
}

TEST_CASE("where the restart did not do it, there is no second one") {
  AwaitingNight t;
  t.restarter->deaf = true;
  CHECK(t.deploy(t.held).state == State::restart_needed);
  CHECK(t.deploy_at_three().state == State::failed);
  const Deployment next = t.deploy(t.held);
  CHECK(next.state == State::restart_needed);
  CHECK_FALSE(next.next);
  CHECK(says(next, "it was restarted for that already"));
  CHECK(t.restarter->restarts == 1);
}

TEST_CASE("a restart that is refused is told and tried again") {
  AwaitingNight t;
  t.restarter->refuses = true;
  const Deployment refused = t.deploy_at_three();
  CHECK(refused.state == State::failed);
  CHECK(says(refused, "may not restart mosquitto.service"));
  t.restarter->refuses = false;
  CHECK(t.deploy(t.held, Effort::look).state == State::done);
}

TEST_CASE("what a reload can do is never done by a restart, whatever the time") {
  AwaitingNight t;
  t.clock.set(t.three());
  const CertifiedKey same_kind = t.pair(ec_key());
  CHECK(t.deploy(same_kind).state == State::done);
  t.restarter->deaf = true;
  t.target.probe_timeout = 100ms;
  CHECK(t.deploy(t.pair(ec_key(), 30min)).state == State::failed);
  CHECK(t.restarter->restarts == 0);
  CHECK(t.restarter->reloads == 2);
}

TEST_CASE("a broker that reads its files only when it starts is not told, but restarted") {
  AwaitingNight t;
  t.target.only_restarts = true;
  t.held = t.pair(ec_key());
  const Deployment planned = t.deploy(t.held);
  CHECK(planned.state == State::restart_needed);
  CHECK(says(planned, "takes a new one only when it starts; it is restarted at"));
  CHECK(t.deploy_at_three().state == State::done);
  t.target.restart_window.reset();
  CHECK(says(t.deploy(t.pair(ec_key(), 10min)), "restart the broker"));
  CHECK(t.restarter->restarts == 1);
  CHECK(t.restarter->reloads == 0);
}

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

TEST_CASE("without reload and probe the work is done with the switch") {
  Deploying t;
  t.target.reloaders.clear();
  t.target.probes.clear();
  const CertifiedKey held = t.pair(rsa_key());
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::done);
  CHECK(deployment.switched);
  CHECK_FALSE(deployment.reloaded);
  CHECK(deployment.seen.empty());
  CHECK(t.broker.connections() == 0);
  const auto before = t.traces();
  CHECK(t.deploy(held).state == State::done);
  CHECK(t.traces() == before);
}

TEST_CASE("where no probe can prove it, a hook that failed is run again, and one that did not is not") {
  Deploying t;
  int exit_code = 1;
  t.processes.on_run = [&](const auto&) { return CommandResult{.exit_code = exit_code, .output = "no route"}; };
  t.target.reloaders = {reload_command({"push"}, 30s, t.processes)};
  t.target.probes.clear();
  const CertifiedKey held = t.pair(rsa_key());
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::failed);
  CHECK(says(deployment, "command:push"));
  CHECK(says(deployment, "no route"));
  CHECK(deployment.switched);
  CHECK_FALSE(deployment.reloaded);
  exit_code = 0;
  CHECK(t.deploy(held).state == State::done);
  CHECK(t.processes.runs.size() == 2);
  CHECK(t.deploy(held).state == State::done);
  CHECK(t.processes.runs.size() == 2);
  CHECK(t.deploy(t.pair(rsa_key(), 30min)).state == State::done);
  CHECK(t.processes.runs.size() == 3);
}

TEST_CASE("the probe that nobody asked for is no error where no broker runs and nothing listens") {
  Deploying t;
  t.target.probe_is_default = true;
  t.broker.stop();
  t.processes.end(812);
  const CertifiedKey held = t.pair(rsa_key());
  const TimePoint before = t.clock.now();
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::done);
  CHECK(deployment.detail.empty());
  CHECK(t.clock.now() == before);
  CHECK(t.lies(held));

  SUBCASE("nor is a pidfile that the broker has not written yet") {
    t.target.reloaders = {reload_pidfile(t.dir / "pid", t.processes)};
    CHECK(t.deploy(t.pair(rsa_key(), 30min)).state == State::done);
  }
  SUBCASE("but a broker that runs and does not listen is one") {
    t.processes.start("mosquitto", 813);
    const Deployment running = t.deploy(held);
    CHECK(running.state == State::waiting);
    CHECK(says(running, "nobody answers"));
    CHECK(says(running, "mosquitto (pid 813) runs"));
    CHECK(says(running, (t.folder / "fullchain.pem").string()));
  }
  SUBCASE("but a hook that fails is one") {
    t.processes.on_run = [&](const auto&) { return CommandResult{.exit_code = 1, .output = ""}; };
    t.target.reloaders = {reload_command({"push"}, 30s, t.processes)};
    CHECK(t.deploy(t.pair(rsa_key(), 30min)).state == State::failed);
  }
}

TEST_CASE("two brokers of one name: the files are switched, neither is told, and both are named") {
  Deploying t;
  const CertifiedKey old = t.deployed_before(rsa_key());
  t.processes.start("mosquitto", 900);
  const CertifiedKey held = t.pair(rsa_key());
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::failed);
  CHECK(deployment.switched);
  CHECK_FALSE(deployment.reloaded);
  CHECK_FALSE(deployment.rolled_back);
  CHECK(says(deployment, "process:mosquitto"));
  CHECK(says(deployment, "812 and 900"));
  CHECK(t.processes.signals.empty());
  CHECK(t.serves(old));

  SUBCASE("what somebody else reloads is served, and so it is done") {
    t.broker.load();
    CHECK(t.deploy(held).state == State::done);
  }
}

TEST_CASE("a reloader that fails does not matter where the broker serves the new certificate all the same") {
  Deploying t;
  t.deployed_before(rsa_key());
  t.processes.on_run = [&](const auto&) { return CommandResult{.exit_code = 1, .output = ""}; };
  t.target.reloaders.insert(t.target.reloaders.begin(), reload_command({"mail"}, 30s, t.processes));
  const Deployment deployment = t.deploy(t.pair(rsa_key()));
  CHECK(deployment.state == State::done);
  CHECK_FALSE(deployment.reloaded);
  CHECK(t.processes.signals.size() == 1);  // the next one was not left out
}

TEST_CASE("a signal that may not be sent is for the operator, and nothing is rolled back") {
  Deploying t;
  t.deployed_before(rsa_key());
  t.processes.on_signal = [](const Process&, int) { throw Error(Remedy::ask_operator, "may not signal"); };
  const CertifiedKey held = t.pair(rsa_key());
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::failed);
  CHECK(says(deployment, "the reload by process:mosquitto failed: may not signal"));
  CHECK(t.lies(held));
}

TEST_CASE("a stale certificate with nobody to tell says that --reload is missing") {
  Deploying t;
  t.deployed_before(rsa_key());
  t.processes.end(812);
  CHECK(says(t.deploy(t.pair(rsa_key())), "--reload"));
}

TEST_CASE("every endpoint must serve the new certificate, and the one that does not is named") {
  Deploying t;
  FakeBroker second(t.folder);
  t.target.probes.push_back(second.endpoint());
  const Deployment deployment = t.deploy(t.pair(rsa_key()));
  CHECK(deployment.state == State::failed);
  CHECK(says(deployment, second.endpoint().text()));
  CHECK_FALSE(says(deployment, t.broker.endpoint().text()));
  REQUIRE(deployment.seen.size() == 2);
  CHECK(deployment.seen[0].ok);
  CHECK_FALSE(deployment.seen[1].ok);
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

TEST_CASE("a stop ends the wait for the broker, and the next deployment finishes the work") {
  Deploying t;
  t.deployed_before(rsa_key());
  const CertifiedKey held = t.pair(rsa_key());
  t.processes.on_signal = [&t](const Process&, int) { t.stop.request_stop(); };
  CHECK_THROWS_AS(t.deploy(held), Stopped);
  CHECK(t.lies(held));
  t.stop = {};
  t.processes.on_signal = [&t](const Process&, int) { t.broker.load(); };
  const Deployment deployment = t.deploy(held);
  CHECK(deployment.state == State::done);
  CHECK_FALSE(deployment.switched);
}

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

TEST_CASE("a broker hears the first domain, and for a wildcard a name that it covers") {
  Deploying t;
  SUBCASE("name") {
    CHECK(t.deploy(t.pair(rsa_key())).state == State::done);
    CHECK(t.broker.server_name() == "mqtt.example");
  }
  SUBCASE("wildcard") {
    t.target.identifiers = {{Identifier::Type::dns, "*.home.example"}};
    CHECK(t.deploy(t.pair(rsa_key())).state == State::done);
    CHECK(t.broker.server_name() == "mqtt.home.example");
  }
  SUBCASE("address") {
    t.target.identifiers = {{Identifier::Type::ip, "192.0.2.1"}};
    CHECK(t.deploy(t.pair(rsa_key())).state == State::done);
    CHECK(t.broker.server_name().empty());
  }
}

}  // namespace

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

TEST_CASE("where nobody listens and nobody was told there is nothing to wait for") {
  Deploying t;
  t.processes.end(812);
  t.broker.stop();
  const TimePoint before = t.clock.now();
  CHECK(t.deploy(t.pair(rsa_key())).state == State::waiting);
  CHECK(t.clock.now() == before);
}

}  // namespace acme_agent::test
