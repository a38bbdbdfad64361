#include <doctest/doctest.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <acme_agent/broker/mosquitto_conf.hpp>
#include <acme_agent/sys/processes.hpp>

#include "broker/mosquitto.hpp"
#include "support/temp_dir.hpp"
#include "sys/child.hpp"

using namespace acme_agent;

TEST_CASE("the configuration of a running Mosquitto is the one of its command line") {
  const test::TempDir dir;
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
  test::Mosquitto broker(dir.path());
  broker.start("listener " + std::to_string(test::free_port()) + " 127.0.0.1\n");
  const std::optional<MosquittoPlace> place = find_mosquitto(SystemProcesses().find(broker.pid()).value());
  REQUIRE(place);
  CHECK(place->conf == dir / (broker.name() + ".conf"));
  CHECK(place->root == "/");
}

TEST_CASE("a process without a command line has no configuration: it ends just now, or has ended") {
  test::Child child([] { ::prctl(PR_SET_NAME, "mosquitto"); });
  const Process broker = SystemProcesses().find(child.pid()).value();
  ::kill(child.pid(), SIGKILL);
  siginfo_t ignored{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child.pid()), &ignored, WEXITED | WNOWAIT) == 0);
  CHECK_FALSE(find_mosquitto(broker));
  child.wait();
  CHECK_FALSE(find_mosquitto(broker));
}
