#include <doctest/doctest.h>

#include <fstream>

#include <acme_agent/setup/proposal.hpp>

#include "support/temp_dir.hpp"

using namespace acme_agent;

namespace {

namespace fs = std::filesystem;

/// Where nothing runs.
class NoProcesses final : public Processes {
 public:
  std::vector<Process> find(const std::string&) const override { return {}; }
  std::optional<Process> find(pid_t) const override { return std::nullopt; }
  void signal(const Process&, int) const override {}
  CommandResult run(const std::vector<std::string>&, const std::vector<std::string>&, Duration,
                    const std::stop_token&) const override {
    return {};
  }
};

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

}  // namespace

TEST_CASE("on an empty machine nothing is found, and nothing is wrong with that") {
  const test::TempDir root;
  const Surroundings seen = look_around(NoProcesses(), root.path(), root.path());
  CHECK_FALSE(seen.broker);
  CHECK(seen.conf_path.empty());
  CHECK_FALSE(seen.conf);
  CHECK_FALSE(seen.systemd);
  CHECK_FALSE(seen.service);
}

TEST_CASE("a Mosquitto that does not run is found by its configuration") {
  const test::TempDir root;
  write(root / "etc/mosquitto/mosquitto.conf", "listener 1883\ninclude_dir /etc/mosquitto/conf.d\n");
  const Surroundings seen = look_around(NoProcesses(), root.path(), root.path());
  CHECK(seen.conf_path == "/etc/mosquitto/mosquitto.conf");
  REQUIRE(seen.conf);
  CHECK(seen.conf->include_dirs == std::vector<std::string>{"/etc/mosquitto/conf.d"});
}

TEST_CASE("a unit counts only where systemd runs") {
  const test::TempDir root;
  write(root / "usr/lib/systemd/system/acme-agent.service", "");
  CHECK_FALSE(look_around(NoProcesses(), root.path(), root.path()).service);
  fs::create_directories(root / "run/systemd/system");
  CHECK(look_around(NoProcesses(), root.path(), root.path()).service);
}

TEST_CASE("a configuration that cannot be read as one is there all the same") {
  const test::TempDir root;
  write(root / "etc/mosquitto/mosquitto.conf", std::string(2 << 20, 'x'));
  const Surroundings seen = look_around(NoProcesses(), root.path(), root.path());
  CHECK_FALSE(seen.conf_path.empty());
  CHECK_FALSE(seen.conf);
}

TEST_CASE("a compose file counts where it has a service called mosquitto") {
  const test::TempDir root;
  write(root / "docker-compose.yml", "services:\n  nodered:\n    image: mosquitto:2\n");
  CHECK(look_around(NoProcesses(), root.path(), root.path()).compose.empty());
  write(root / "docker-compose.yml", "services:\n  mosquitto:\n    image: eclipse-mosquitto:2\n");
  write(root / "volumes/mosquitto/config/mosquitto.conf", "listener 1883\n");
  const Surroundings seen = look_around(NoProcesses(), root.path(), root.path());
  CHECK(seen.compose == root / "docker-compose.yml");
  CHECK(seen.conf_path == root / "volumes/mosquitto/config/mosquitto.conf");
}
