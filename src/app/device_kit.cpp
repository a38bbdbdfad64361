#include "device_kit.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/pkcs12.hpp>
#include <acme_agent/crypto/tasmota.hpp>

#include "shell_quoted.hpp"

namespace acme_agent {
namespace {

constexpr std::string_view keystore_password = "changeit";  // as Java has it: the mode of the file guards it

/// Each line with `before` and `after` around it. In place, so that no copy of a key is left behind.
void append_lines(Secret& to, std::string_view text, std::string_view before, std::string_view after) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    to.append(before);
    to.append(text.substr(0, end));
    to.append(after);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string host_of(const DevicePapers& papers) {
  return papers.broker ? papers.broker->value : "BROKER";
}

std::string place_of(const DevicePapers& papers) {
  return Endpoint{host_of(papers), 8883}.text();
}

/// For people.
std::string shown(const DevicePapers& papers, const std::string& file) {
  return printable((papers.folder / file).native(), 8192);
}

/// For a shell.
std::string quoted(const DevicePapers& papers, const std::string& file) {
  return shell_quoted((papers.folder / file).native());
}

DeviceKit for_tasmota(const DevicePapers& papers) {
  DeviceKit kit;
  if (papers.key) {
    kit.typed.append("TlsKey1 ");
    kit.typed.append(tasmota_client_key(*papers.key).reveal());
    kit.typed.append("\n");
  }
  const bool named = !papers.broker || papers.broker->type == Identifier::Type::dns;
  kit.typed.append("TlsKey2 " + tasmota_client_certificate(papers.chain.leaf()) + "\n");
  kit.advice =
      "Type these lines into the console of the device, TlsKey1 first: it takes the certificate away that was there.\n"
      "Its firmware has USE_MQTT_TLS and USE_MQTT_AWS_IOT (USE_MQTT_CLIENT_CERT in newer ones). Then:\n"
      "  Backlog MqttHost " +
      (named ? host_of(papers) : "BROKER") + "; MqttPort 8883; SetOption103 1\n";
  if (!named) kit.advice += "BROKER is a name that the broker's certificate has to have: Tasmota checks no address.\n";
  if (!papers.broker_roots.empty())
    kit.advice +=
        "To trust the broker, its firmware needs our root (acme-agent ca export --format tasmota), or the device a\n"
        "fingerprint: acme-agent tasmota fingerprint\n";
  return kit;
}

DeviceKit for_esphome(const DevicePapers& papers) {
  DeviceKit kit;
  kit.typed.append("mqtt:\n  broker: \"" + host_of(papers) + "\"\n  port: 8883\n");
  const auto block = [&kit](std::string_view name, std::string_view pem) {
    kit.typed.append("  " + std::string(name) + ": |\n");
    append_lines(kit.typed, pem, "    ", "\n");
  };
  if (!papers.broker_roots.empty()) block("certificate_authority", papers.broker_roots);
  block("client_certificate", papers.chain.leaf_pem());
  if (papers.key) block("client_certificate_key", papers.key->to_pem().reveal());
  kit.advice = "Paste this into the YAML of the device, which needs an ESP32 and the framework esp-idf.\n";
  if (papers.broker_roots.empty())
    kit.advice += "Add certificate_authority: the root that the broker's certificate leads to.\n";
  return kit;
}

/// Certificate with its issuer, key, and what to trust, for all that read PEM.
DeviceKit in_files(const DevicePapers& papers) {
  DeviceKit kit;
  if (papers.key) kit.files.push_back({"key.pem", papers.key->to_pem()});
  kit.files.push_back({"cert.pem", Secret(papers.chain.pem())});
  if (!papers.broker_roots.empty()) kit.files.push_back({"ca.pem", Secret(papers.broker_roots)});
  return kit;
}

/// The body of a call that stores it. Of PEM, JSON has only the ends of lines to escape.
Secret stored(std::string_view pem) {
  Secret body(R"({"data":")");
  append_lines(body, pem, "", "\\n");
  body.append("\"}\n");
  return body;
}

DeviceKit for_shelly(const DevicePapers& papers) {
  DeviceKit kit = in_files(papers);
  const auto add = [&](const std::string& call, std::string_view content) {
    const std::string file = call + ".json";
    kit.files.push_back({file, stored(content)});
    kit.advice +=
        "  curl -d " + shell_quoted("@" + (papers.folder / file).native()) + " http://SHELLY/rpc/Shelly." + call + "\n";
  };
  kit.advice = "Give the device (SHELLY: its address) what is in the files, by its page (Settings, TLS) or by\n";
  if (!papers.broker_roots.empty()) add("PutUserCA", papers.broker_roots);
  add("PutTLSClientCert", papers.chain.pem());
  if (papers.key) add("PutTLSClientKey", papers.key->to_pem().reveal());
  const nlohmann::ordered_json config = {{"config",
                                          {{"enable", true},
                                           {"server", place_of(papers)},
                                           {"ssl_ca", papers.broker_roots.empty() ? "ca.pem" : "user_ca.pem"},
                                           {"use_client_cert", true}}}};
  kit.advice += "  curl -d " + shell_quoted(config.dump()) +
                " http://SHELLY/rpc/Mqtt.SetConfig\n"
                "  curl http://SHELLY/rpc/Shelly.Reboot\n";
  return kit;
}

DeviceKit for_node_red(const DevicePapers& papers) {
  DeviceKit kit = in_files(papers);
  if (papers.key)
    kit.files.push_back(
        {papers.name + ".p12", to_pkcs12({*papers.key, papers.chain}, Secret(std::string(keystore_password)))});
  kit.advice = "In Node-RED's TLS configuration: certificate " + shown(papers, "cert.pem") + ", private key " +
               (papers.key ? shown(papers, "key.pem") : "KEY");
  if (!papers.broker_roots.empty()) kit.advice += ", CA certificate " + shown(papers, "ca.pem");
  kit.advice += ",\nverify server certificate on.";
  if (papers.key)
    kit.advice += " For what takes a keystore only: " + shown(papers, papers.name + ".p12") + ", password " +
                  std::string(keystore_password) + ".";
  kit.advice += "\n";
  return kit;
}

DeviceKit for_mosquitto(const DevicePapers& papers) {
  DeviceKit kit = in_files(papers);
  const bool public_roots = papers.broker_roots.empty();
  const std::string trust = public_roots ? "--capath /etc/ssl/certs" : "--cafile " + quoted(papers, "ca.pem");
  const std::string bridge = public_roots ? "bridge_capath /etc/ssl/certs" : "bridge_cafile " + shown(papers, "ca.pem");
  kit.advice = "  mosquitto_sub -h " + host_of(papers) + " -p 8883 " + trust + " --cert " + quoted(papers, "cert.pem") +
               " --key " + (papers.key ? quoted(papers, "key.pem") : "KEY") +
               " -t '#' -v\nIn mosquitto.conf, of a bridge:\n  address " + place_of(papers) + "\n  " + bridge +
               "\n  bridge_certfile " + shown(papers, "cert.pem") + "\n  bridge_keyfile " +
               (papers.key ? shown(papers, "key.pem") : "KEY") +
               "\nwhich Mosquitto reads as its own user only once they are its own:\n  sudo chown -R mosquitto " +
               shell_quoted(papers.folder.native()) + "\n";
  return kit;
}

DeviceKit for_esp_idf(const DevicePapers& papers) {
  DeviceKit kit = in_files(papers);
  kit.advice =
      "Of esp_mqtt_client_config_t: broker.verification.certificate is ca.pem, "
      "credentials.authentication.certificate\nand .key are cert.pem and key.pem.\n";
  return kit;
}

struct Kind {
  std::string_view word;
  bool files;
  DeviceKit (*make)(const DevicePapers&);
};
constexpr Kind kinds[] = {{"tasmota", false, for_tasmota}, {"esphome", false, for_esphome},
                          {"shelly", true, for_shelly},    {"esp-idf", true, for_esp_idf},
                          {"nodered", true, for_node_red}, {"mosquitto", true, for_mosquitto}};

const Kind& kind_called(std::string_view word) {
  const std::vector<std::string> words = device_kit_words();
  for (const Kind& kind : kinds)
    if (kind.word == word) return kind;
  const std::string meant = nearest(word, words);
  throw Error(Remedy::ask_operator, "--for: '" + printable(word, 80) + "' is not one of " + join(words) +
                                        (meant.empty() ? "" : ": did you mean '" + meant + "'?"));
}

}  // namespace

std::vector<std::string> device_kit_words() {
  std::vector<std::string> words;
  for (const Kind& kind : kinds) words.emplace_back(kind.word);
  return words;
}

bool wants_files(std::string_view kind) {
  return kind_called(kind).files;
}

DeviceKit make_kit(std::string_view kind, const DevicePapers& papers) {
  return kind_called(kind).make(papers);
}

}  // namespace acme_agent
