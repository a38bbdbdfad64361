#pragma once

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

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

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using State = Deployment::State;

constexpr auto day = 24h;
inline const std::vector<std::string> all_files{"cert.pem", "chain.pem", "fullchain.pem", "privkey.pem",
                                                "combined.pem"};

inline const TestCa& ca() {
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

inline bool says(const Deployment& deployment, const std::string& words) {
  CAPTURE(deployment.detail);
  return deployment.detail.find(words) != std::string::npos;
}

}  // namespace acme_agent::test
