#include "device_kit.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/pkcs12.hpp>
#include <acme_agent/crypto/tasmota.hpp>

namespace acme_agent {
namespace {

constexpr std::string_view keystore_password = "changeit";  // as Java has it: the mode of the file guards it

/// For a block of YAML.
std::string indented(std::string_view text, std::string_view by) {
  std::string lines;
  for (const std::string& line : split(text, '\n')) lines += std::string(by) + line + "\n";
  return lines;
}

DeviceKit for_tasmota(const DevicePapers& papers) {
  DeviceKit kit;
  if (papers.key) {
    kit.typed.append("TlsKey1 ");
    kit.typed.append(tasmota_client_key(*papers.key).reveal());
    kit.typed.append("\n");
  }
  kit.typed.append("TlsKey2 " + tasmota_client_certificate(papers.chain.leaf()) + "\n");
  kit.advice =
      "Type these lines into the console of the device, TlsKey1 first: it takes the certificate away that was there.\n"
      "Its firmware has USE_MQTT_TLS and USE_MQTT_AWS_IOT (USE_MQTT_CLIENT_CERT in newer ones). Then:\n"
      "  Backlog MqttHost " +
      papers.broker + "; MqttPort 8883; SetOption103 1\n";
  return kit;
}

DeviceKit for_esphome(const DevicePapers& papers) {
  DeviceKit kit;
  kit.typed.append("mqtt:\n  broker: " + papers.broker + "\n  port: 8883\n");
  if (!papers.broker_roots.empty())
    kit.typed.append("  certificate_authority: |\n" + indented(papers.broker_roots, "    "));
  kit.typed.append("  client_certificate: |\n" + indented(papers.chain.leaf_pem(), "    "));
  if (papers.key) {
    kit.typed.append("  client_certificate_key: |\n");
    kit.typed.append(indented(papers.key->to_pem().reveal(), "    "));
  }
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

/// The body of a call that stores it.
Secret stored(std::string_view content) {
  return Secret(nlohmann::json{{"data", content}}.dump() + "\n");
}

DeviceKit for_shelly(const DevicePapers& papers) {
  DeviceKit kit = in_files(papers);
  const auto add = [&kit](const std::string& call, std::string_view content) {
    kit.files.push_back({call + ".json", stored(content)});
    kit.advice += "  curl -d @DIR/" + call + ".json http://SHELLY/rpc/Shelly." + call + "\n";
  };
  kit.advice = "Give the device (SHELLY: its address) what is in the files, by its page (Settings, TLS) or by\n";
  if (!papers.broker_roots.empty()) add("PutUserCA", papers.broker_roots);
  add("PutTLSClientCert", papers.chain.pem());
  if (papers.key) add("PutTLSClientKey", papers.key->to_pem().reveal());
  const nlohmann::ordered_json config = {{"config",
                                          {{"enable", true},
                                           {"server", papers.broker + ":8883"},
                                           {"ssl_ca", papers.broker_roots.empty() ? "ca.pem" : "user_ca.pem"},
                                           {"use_client_cert", true}}}};
  kit.advice += "  curl -d '" + config.dump() +
                "' http://SHELLY/rpc/Mqtt.SetConfig\n"
                "  curl http://SHELLY/rpc/Shelly.Reboot\n";
  return kit;
}

DeviceKit for_node_red(const DevicePapers& papers) {
  DeviceKit kit = in_files(papers);
  if (papers.key)
    kit.files.push_back(
        {papers.name + ".p12", to_pkcs12({*papers.key, papers.chain}, Secret(std::string(keystore_password)))});
  kit.advice = "In Node-RED's TLS configuration: certificate DIR/cert.pem, private key DIR/key.pem";
  kit.advice += papers.broker_roots.empty() ? "" : ", CA certificate DIR/ca.pem";
  kit.advice += ",\nverify server certificate on.";
  if (papers.key)
    kit.advice +=
        " Or the keystore DIR/" + papers.name + ".p12 with the password " + std::string(keystore_password) + ".";
  kit.advice += "\n";
  return kit;
}

DeviceKit for_mosquitto(const DevicePapers& papers) {
  DeviceKit kit = in_files(papers);
  const std::string trust = papers.broker_roots.empty() ? "--capath /etc/ssl/certs" : "--cafile DIR/ca.pem";
  const std::string bridge = papers.broker_roots.empty() ? "bridge_capath /etc/ssl/certs" : "bridge_cafile DIR/ca.pem";
  const std::string key = papers.key ? "DIR/key.pem" : "KEY";
  kit.advice = "  mosquitto_sub -h " + papers.broker + " -p 8883 " + trust + " --cert DIR/cert.pem --key " + key +
               " -t '#' -v\nIn mosquitto.conf, of a bridge:\n  address " + papers.broker + ":8883\n  " + bridge +
               "\n  bridge_certfile DIR/cert.pem\n  bridge_keyfile " + key + "\n";
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
  throw Error(Remedy::ask_operator, word.empty() ? "for which kind of device? write --for " + join(words)
                                                 : "--for: '" + printable(word, 80) + "' is not one of " + join(words) +
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
