#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/probe.hpp>
#include <acme_agent/crypto/tasmota.hpp>
#include <acme_agent/store/state.hpp>
#include <acme_agent/sys/file.hpp>

#include "commands.hpp"
#include "new_files.hpp"

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

/// Nothing for a kind of key that Tasmota has never heard of.
std::optional<std::string> fingerprint_of(const Sighting& sighting) {
  try {
    return tasmota_fingerprint(sighting.certificate);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// Tasmota's MQTT knows RSA only.
bool is_usable(const Sighting& sighting, const std::optional<std::string>& fingerprint) {
  return fingerprint && sighting.certificate.key_type() != KeyType::ec256;
}

void print(const std::vector<Sighting>& sightings) {
  for (const Sighting& sighting : sightings) {
    const std::optional<std::string> fingerprint = fingerprint_of(sighting);
    std::cout << sighting.where << "\n";
    if (fingerprint)
      std::cout << "  fingerprint  " << *fingerprint << "\n  to set it    " << command_for(*fingerprint) << "\n";
    if (!is_usable(sighting, fingerprint))
      std::cout << "  of no use    Tasmota's MQTT takes RSA keys only: order with --key-type rsa2048\n";
  }
}

void print_json(const std::vector<Sighting>& sightings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Sighting& sighting : sightings) {
    const std::optional<std::string> fingerprint = fingerprint_of(sighting);
    nlohmann::ordered_json found{{"where", sighting.where}, {"fingerprint", nullptr}, {"command", nullptr}};
    if (fingerprint) found["fingerprint"] = *fingerprint;
    if (fingerprint) found["command"] = command_for(*fingerprint);
    found["usable"] = is_usable(sighting, fingerprint);
    list.push_back(std::move(found));
  }
  std::cout << nlohmann::ordered_json{{"fingerprints", list}}.dump(2, ' ', false,
                                                                   nlohmann::json::error_handler_t::replace)
            << "\n";
}

/// What keeps the keys of a certificate from being changed in two steps.
void refuse_own_ways(const CertificateSettings& settings) {
  if (settings.key_file)
    refuse(settings.name + " is for the key in " + printable(settings.key_file->native()) +
           ": put another one there when the devices know its fingerprint");
  if (!settings.reuse_key)
    refuse(settings.name + " gets another key at every renewal, as reuse-key is no: the devices cannot be told before");
}

/// The first step: a key that nobody uses yet, and what the devices are to be told of it.
int prepare_key(const std::string& name, const CertificateState& state) {
  std::optional<PrivateKey> next = state.next_key();
  if (!next) {
    next = PrivateKey::generate(KeyType::rsa2048);
    state.save_next_key(*next);
  }
  const std::string fingerprint = tasmota_fingerprint(*next);
  std::cout << name << ": its next key lies ready\n  fingerprint  " << fingerprint
            << "\n  to set it    Backlog SetOption132 1; MqttFingerprint2 " << fingerprint
            << "\nType that line into the console of each device, which takes either key from then on. When all of "
            << "them have it:\n  acme-agent tasmota rekey " << name << " --switch\n";
  return exit_ok;
}

/// The second step: a certificate for that key, now.
int switch_key(const std::string& name, const CertificateState& state, const CommandLine& command_line,
               const Environment& environment) {
  if (!state.next_key() && !state.chosen_key())
    refuse("there is no next key of " + name + ": 'acme-agent tasmota rekey " + name +
           "' makes one, for the devices to learn");
  if (state.next_key()) state.choose_next_key();
  CommandLine renewing = command_line;
  renewing.command = "renew";
  renewing.arguments = {name};
  renewing.force = true;
  const int exit_code = renew(renewing, environment);
  if (state.chosen_key()) {
    std::cerr << "acme-agent: the key is not changed yet: the next order is for the new one\n";
    return exit_failed;
  }
  const std::optional<Held> held = state.held();
  if (!held) return exit_code;
  std::cout << "the devices may forget the old key now:\n  "
            << command_for(tasmota_fingerprint(held->pair.chain.leaf())) << "\n";
  return exit_code;
}

int rekey(const CommandLine& command_line, const Environment& environment) {
  if (command_line.arguments.size() < 2) refuse("whose key? write tasmota rekey NAME ('acme-agent status' lists them)");
  const std::string& name = command_line.arguments[1];
  const Configuration configuration = load_configuration(command_line, environment);
  const StateFolder folder(configuration.state_dir);
  become_owner_of(folder);
  require_known(name, folder);
  bool configured = false;
  for (const CertificateSettings& settings : configuration.certificates) {
    if (settings.name != name) continue;
    refuse_own_ways(settings);
    configured = true;
  }
  if (command_line.switch_key && !configured && is_looked_after(name, folder) != true)
    refuse("neither a running agent nor the configuration looks after '" + name +
           "', so that nothing was done: start the agent, or give the options that it is started with");
  const CertificateState state = folder.certificate(name);
  const std::optional<Held> held = state.held();
  if (!held) throw Error(Remedy::retry, "there is no certificate of " + name + " yet, so that its key is no matter");
  if (held->pair.key.type() != KeyType::rsa2048)
    refuse("the key of " + name + " is of type " + std::string(to_string(held->pair.key.type())) +
           ", which Tasmota's MQTT does not take: order with --key-type rsa2048");
  if (command_line.switch_key) return switch_key(name, state, command_line, environment);
  return prepare_key(name, state);
}

int headers(const CommandLine& command_line) {
  const std::vector<std::string>& words = command_line.arguments;
  if (words.size() < 2)
    refuse("headers of what? write tasmota headers FILE, with the root of the broker's chain in PEM");
  const std::filesystem::path folder = words.size() > 2 ? words[2] : ".";
  const TasmotaHeaders headers = tasmota_headers(in_file(words[1]).certificate);
  place_file(folder / "local_ca_data.h", headers.data, 0644);
  place_file(folder / "local_ca_descriptor.h", headers.descriptor, 0644);
  std::cout
      << "local_ca_data.h and local_ca_descriptor.h are written: put them into Tasmota's folder tasmota/include,\n"
      << "write #define INCLUDE_LOCAL_CERT into user_config_override.h, and build with -DUSE_4K_RSA if the chain has "
         "keys "
         "of\n"
      << "more than 2048 bits (examples/tasmota shows both)\n";
  return exit_ok;
}

}  // namespace

int tasmota(const CommandLine& command_line, const Environment& environment) {
  const std::string& action = command_line.arguments.front();
  if (action != "fingerprint" && action != "rekey" && action != "headers")
    refuse("'tasmota " + printable(action, 80) + "' is not known: write tasmota fingerprint, rekey or headers");
  if (command_line.arguments.size() > 2 && action != "headers")
    refuse("'" + printable(command_line.arguments[2], 80) + "' is one word too many for 'tasmota " + action + "'");
  if (command_line.switch_key && action != "rekey") refuse("--switch goes with 'tasmota rekey' only");
  if (action == "headers") return headers(command_line);
  if (action == "rekey") return rekey(command_line, environment);
  const Configuration configuration = load_configuration(command_line, environment);
  const std::vector<Sighting> sightings = find_all(command_line, StateFolder(configuration.state_dir));
  if (command_line.json)
    print_json(sightings);
  else
    print(sightings);
  return exit_ok;
}

}  // namespace acme_agent
