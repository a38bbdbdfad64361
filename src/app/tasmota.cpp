#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/probe.hpp>
#include <acme_agent/crypto/tasmota_fingerprint.hpp>
#include <acme_agent/store/state.hpp>
#include <acme_agent/sys/file.hpp>

#include "commands.hpp"

namespace acme_agent {
namespace {

using namespace std::chrono_literals;

constexpr Duration patience = 10s;

/// A certificate, and where it was seen.
struct Sighting {
  std::string where;
  Certificate certificate;
};

[[noreturn]] void refuse(std::string message) {
  throw Error(Remedy::ask_operator, std::move(message));
}

Sighting in_file(const std::filesystem::path& path) {
  const std::string shown = printable(path.native());
  const std::optional<Secret> text = read_file(path);
  if (!text) refuse("there is no file " + shown);
  const std::size_t begin = text->reveal().find("-----BEGIN CERTIFICATE-----");  // after the key, if that is in it
  if (begin == std::string_view::npos) refuse("there is no certificate in " + shown);
  return {shown, CertificateChain::from_pem(text->reveal().substr(begin)).leaf()};
}

/// What each of its addresses shows to a client that knows RSA only, as Tasmota does over MQTT; else to any other.
std::vector<Sighting> on_server(const Endpoint& endpoint) {
  const std::vector<Look> looks = look_at(endpoint, endpoint.host, patience, std::stop_token());
  std::vector<Sighting> seen;
  std::string why;
  for (const TlsClient client : {TlsClient::rsa_tls12, TlsClient::standard}) {
    for (const Look& look : looks) {
      if (!look.detail.empty()) why = look.detail;
      if (look.client == client && look.state == Look::State::shown)
        seen.push_back({endpoint.text() + " (" + printable(look.address) + ")", look.peer.chain->leaf()});
    }
    if (!seen.empty()) return seen;
  }
  throw Error(Remedy::retry, endpoint.text() + " shows no certificate: " + why);
}

Sighting held_as(const std::string& name, const StateFolder& state) {
  require_known(name, state);
  const std::optional<Held> held = state.certificate(name).held();
  if (!held)
    throw Error(Remedy::retry, "there is no certificate of " + name + " yet: 'acme-agent status " + name + "'");
  return {name + " (held)", held->pair.chain.leaf()};
}

std::vector<Sighting> find(const std::string& what, const StateFolder& state) {
  if (what.find('/') != std::string::npos) return {in_file(what)};
  if (what.find(':') != std::string::npos) return on_server(parse_endpoint(what));
  return {held_as(what, state)};
}

std::vector<Sighting> find_all(const CommandLine& command_line, const StateFolder& state) {
  if (command_line.arguments.size() > 1) return find(command_line.arguments[1], state);
  std::vector<Sighting> all;
  for (const std::string& name : state.names()) all.push_back(held_as(name, state));
  if (all.empty()) refuse("there is no certificate in " + state.path().string() + ": give HOST:PORT or a file");
  return all;
}

std::string command_for(const std::string& fingerprint) {
  return "Backlog SetOption132 1; MqttFingerprint1 " + fingerprint;
}

void print(const std::vector<Sighting>& sightings) {
  for (const Sighting& sighting : sightings) {
    const std::string fingerprint = tasmota_fingerprint(sighting.certificate);
    std::cout << sighting.where << "\n  fingerprint  " << fingerprint << "\n  to set it    " << command_for(fingerprint)
              << "\n";
    if (sighting.certificate.key_type() == KeyType::ec256)
      std::cout << "  of no use    Tasmota's MQTT takes RSA keys only: order with --key-type rsa2048\n";
  }
}

void print_json(const std::vector<Sighting>& sightings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Sighting& sighting : sightings) {
    const std::string fingerprint = tasmota_fingerprint(sighting.certificate);
    list.push_back({{"where", sighting.where},
                    {"fingerprint", fingerprint},
                    {"command", command_for(fingerprint)},
                    {"usable", sighting.certificate.key_type() != KeyType::ec256}});
  }
  std::cout << nlohmann::ordered_json{{"fingerprints", list}}.dump(2, ' ', false,
                                                                   nlohmann::json::error_handler_t::replace)
            << "\n";
}

}  // namespace

int tasmota(const CommandLine& command_line, const Environment& environment) {
  const std::string& action = command_line.arguments.front();
  if (action == "headers" || action == "rekey") refuse("'tasmota " + action + "' is not in this version yet");
  if (action != "fingerprint")
    refuse("'tasmota " + printable(action, 80) + "' is not known: write tasmota fingerprint");
  const Configuration configuration = load_configuration(command_line, environment);
  const std::vector<Sighting> sightings = find_all(command_line, StateFolder(configuration.state_dir));
  if (command_line.json)
    print_json(sightings);
  else
    print(sightings);
  return exit_ok;
}

}  // namespace acme_agent
