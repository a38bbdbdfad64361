#include <signal.h>

#include <string>
#include <vector>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>

#include "broker/deploying.hpp"

namespace acme_agent::test {
namespace {

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

TEST_CASE("where nobody listens and nobody was told there is nothing to wait for") {
  Deploying t;
  t.processes.end(812);
  t.broker.stop();
  const TimePoint before = t.clock.now();
  CHECK(t.deploy(t.pair(rsa_key())).state == State::waiting);
  CHECK(t.clock.now() == before);
}

}  // namespace
}  // namespace acme_agent::test
