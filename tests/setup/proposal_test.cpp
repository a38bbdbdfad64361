#include <doctest/doctest.h>

#include <fstream>

#include <acme_agent/setup/proposal.hpp>

#include "support/temp_dir.hpp"

using namespace acme_agent;

namespace {

namespace fs = std::filesystem;

/// A machine with these lines in its /etc/mosquitto/mosquitto.conf.
struct Machine {
  test::TempDir folder;
  Surroundings seen;
  FirstCertificate wanted;

  explicit Machine(const std::string& conf) {
    fs::create_directories(folder / "etc/mosquitto/conf.d");
    std::ofstream(folder / "etc/mosquitto/mosquitto.conf") << conf;
    seen.conf_path = "/etc/mosquitto/mosquitto.conf";
    seen.conf = read_mosquitto_conf(seen.conf_path, folder.path());
    wanted.name = "mydyn.example";
    wanted.domains = {"mydyn.example"};
    wanted.live = "/live/mydyn.example";
    wanted.conf = "/etc/acme-agent/conf.d/mydyn.example.conf";
  }

  void broker_runs(bool in_container) {
    Process broker;
    broker.pid = 812;
    broker.uid = 1883;
    broker.sees_our_paths = !in_container;
    seen.broker = broker;
  }

  Proposal proposal() const { return propose(seen, wanted); }
};

std::string content(const Proposal& proposal, const std::string& path) {
  for (const Proposal::File& file : proposal.files)
    if (file.path == path) return file.content;
  return "";
}

/// All that is said to the operator.
std::string said(const Proposal& proposal) {
  std::string text;
  for (const auto* sentences : {&proposal.found, &proposal.by_hand, &proposal.next})
    for (const std::string& sentence : *sentences) text += sentence + "\n";
  return text;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const std::string mosquitto_section = "/etc/mosquitto/conf.d/acme-agent.conf";
const std::string debian = "persistence true\ninclude_dir /etc/mosquitto/conf.d\n";

}  // namespace

TEST_CASE("for Debian's Mosquitto there are two files: a section for the agent and a listener for the broker") {
  Machine t(debian);
  t.wanted.email = "me@mydyn.example";
  t.wanted.servers = {"zerossl", "local"};
  t.seen.systemd = t.seen.service = true;
  const Proposal proposal = t.proposal();
  CHECK(proposal.files.size() == 2);
  const std::string section = content(proposal, t.wanted.conf);
  CHECK(contains(
      section,
      "[mydyn.example]\ndomain = mydyn.example\nserver = zerossl\nserver = local\nemail = me@mydyn.example\n"));
  CHECK_FALSE(contains(section, "webroot"));
  CHECK(
      contains(content(proposal, mosquitto_section),
               "listener 8883\ncertfile /live/mydyn.example/fullchain.pem\nkeyfile /live/mydyn.example/privkey.pem\n"));
  CHECK(contains(said(proposal), "sudo systemctl enable --now acme-agent\nsudo systemctl restart mosquitto\n"));
}

TEST_CASE("a Mosquitto that had no listener keeps its local one, as any listener would end that") {
  CHECK(contains(content(Machine(debian).proposal(), mosquitto_section), "listener 1883 localhost\n"));
  CHECK_FALSE(contains(content(Machine("listener 1883\n" + debian).proposal(), mosquitto_section), "listener 1883"));
  CHECK_FALSE(contains(content(Machine("port 1884\n" + debian).proposal(), mosquitto_section), "listener 1883"));
}

TEST_CASE("a TLS listener that is there is not made a second time: its lines are named, and what to write instead") {
  const Machine t(
      "listener 8883\ncertfile /etc/letsencrypt/live/a/cert.pem\ncafile /etc/letsencrypt/live/a/chain.pem\n" + debian);
  const Proposal proposal = t.proposal();
  CHECK(proposal.files.size() == 1);
  CHECK(contains(said(proposal), "/etc/mosquitto/mosquitto.conf:2 says 'certfile /etc/letsencrypt/live/a/cert.pem'"));
  CHECK(contains(said(proposal), "certfile /live/mydyn.example/fullchain.pem"));
  CHECK(contains(said(proposal), "take out its cafile"));
}

TEST_CASE("the cafile of a listener that asks clients for certificates stays") {
  const Machine t("listener 8883\ncertfile /a.pem\ncafile /devices.pem\nrequire_certificate true\n" + debian);
  CHECK_FALSE(contains(said(t.proposal()), "cafile"));
}

TEST_CASE("a listener that has our files already is left alone") {
  const Machine t(
      "listener 8883\ncertfile /live/mydyn.example/fullchain.pem\nkeyfile /live/mydyn.example/privkey.pem\n" + debian);
  const Proposal proposal = t.proposal();
  CHECK(proposal.files.size() == 1);
  CHECK(proposal.by_hand.empty());
}

TEST_CASE("a broker in a container gets the folder mounted, and its own paths") {
  Machine t("persistence true\n");
  t.broker_runs(true);
  const Proposal proposal = t.proposal();
  CHECK(proposal.files.size() == 1);
  CHECK(contains(said(proposal), "in a container (pid 812, user 1883)"));
  CHECK(contains(said(proposal), "\"/live/mydyn.example:/certs:ro\""));
  CHECK(contains(said(proposal), "  certfile /certs/fullchain.pem\n  keyfile /certs/privkey.pem"));
}

TEST_CASE("who holds port 80 is named, and the section says how the name can be proven then") {
  Machine t(debian);
  t.seen.port_80_holder = "nginx (pid 12)";
  const Proposal proposal = t.proposal();
  CHECK(contains(content(proposal, t.wanted.conf), "# Port 80 is held by nginx (pid 12)."));
  CHECK(contains(said(proposal), "is held by nginx (pid 12)."));
}

TEST_CASE("without any Mosquitto there is only the section") {
  Machine t("");
  t.seen = {};
  const Proposal proposal = t.proposal();
  CHECK(proposal.files.size() == 1);
  CHECK(proposal.by_hand.empty());
  CHECK_FALSE(contains(said(proposal), "restart mosquitto"));
}

TEST_CASE("what is configured already is not written again") {
  Machine t(debian);
  t.wanted.configured = true;
  t.seen.port_80_holder = "nginx (pid 12)";
  const Proposal proposal = t.proposal();
  CHECK(content(proposal, t.wanted.conf).empty());
  CHECK(contains(said(proposal), "mydyn.example already"));
}

TEST_CASE("beside a compose file with Mosquitto goes an override with an agent of the same user") {
  Machine t("listener 1883\n");
  t.seen.compose = "/home/pi/IOTstack/docker-compose.yml";
  t.wanted.domains = {"mydyn.example", "mqtt.mydyn.example"};
  t.wanted.email = "me@mydyn.example";
  t.broker_runs(true);
  t.seen.broker->gid = 1884;
  const Proposal proposal = t.proposal();
  CHECK(proposal.files.size() == 1);
  const std::string file = content(proposal, "/home/pi/IOTstack/docker-compose.override.yml");
  CHECK(contains(file,
                 "      ACME_AGENT_DOMAIN: \"mydyn.example, mqtt.mydyn.example\"\n      ACME_AGENT_EMAIL: "
                 "\"me@mydyn.example\"\n"));
  CHECK(contains(file, "user: \"1883:1884\""));
  CHECK_FALSE(contains(file, "${"));
  CHECK(file.starts_with("# Made by 'acme-agent init': acme-agent beside the broker of docker-compose.yml,"));
  CHECK_FALSE(contains(file, "README"));
  CHECK_FALSE(contains(file, "IOTstack"));
  CHECK(contains(said(proposal), "  certfile /certs/fullchain.pem\n"));
  CHECK(contains(said(proposal), "sudo chown -R 1883:1884 volumes/acme-agent"));
  t.seen.broker.reset();
  t.seen.compose = "compose.yaml";
  CHECK(contains(content(t.proposal(), "compose.override.yaml"), "user: \"1883:1883\""));
}

TEST_CASE("what is there stays, and where it is not what would be written that is said with what it would be") {
  Machine t(debian);
  t.wanted.conf = t.folder / "acme-agent.conf";
  const auto beside = [&t](const std::string& lies) {
    std::ofstream(t.wanted.conf) << lies;
    Proposal proposal = t.proposal();
    leave_what_is_there(proposal, t.wanted);
    CHECK(content(proposal, t.wanted.conf).empty());
    CHECK_FALSE(content(proposal, mosquitto_section).empty());
    return said(proposal);
  };
  const std::string right = content(t.proposal(), t.wanted.conf);
  CHECK(contains(beside(right), "acme-agent.conf is there already; it stays as it is."));
  const std::string other = beside("[other.example]\n");
  CHECK(contains(other, "acme-agent.conf is there already, and it is not what this would write for mydyn.example."));
  CHECK(contains(other, right));
}

TEST_CASE("who has given places of his own gets them in the commands that follow, and not the service's") {
  Machine t(debian);
  t.seen.systemd = t.seen.service = true;
  t.wanted.places = " --config /home/me/new.conf";
  const std::string text = said(t.proposal());
  CHECK(contains(text, "sudo acme-agent --dry-run --config /home/me/new.conf\n"));
  CHECK(contains(text, "sudo acme-agent --once --config /home/me/new.conf\n"));
  CHECK_FALSE(contains(text, "enable --now acme-agent"));
}
