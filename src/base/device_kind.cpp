#include <algorithm>
#include <array>

#include <acme_agent/base/device_kind.hpp>

namespace acme_agent {
namespace {

constexpr std::size_t mbedtls_record = 16384;  // what ESP-IDF has room for, unless it is built with less

constexpr std::array tasmota_keys = {KeyType::rsa2048};
constexpr std::array esp_keys = {KeyType::rsa2048, KeyType::rsa3072, KeyType::rsa4096, KeyType::ec256, KeyType::ec384};
constexpr std::array shelly_keys = {KeyType::rsa2048, KeyType::ec256, KeyType::ec384};

constexpr std::array kinds = {
    DeviceKind{.name = "tasmota",
               .who = "Tasmota devices",
               .key_types = tasmota_keys,
               .rsa_signatures_only = true,
               .addresses = false},
    DeviceKind{.name = "esphome",
               .who = "ESPHome devices",
               .key_types = esp_keys,
               .wildcards = false,
               .max_chain_bytes = mbedtls_record},
    DeviceKind{.name = "shelly", .who = "Shelly devices", .key_types = shelly_keys, .max_intermediates = 8},
    DeviceKind{.name = "esp-idf", .who = "ESP-IDF devices", .key_types = esp_keys, .max_chain_bytes = mbedtls_record},
};

}  // namespace

std::span<const DeviceKind> device_kinds() {
  return kinds;
}

const DeviceKind* find_device_kind(std::string_view name) {
  const auto* const found =
      std::find_if(kinds.begin(), kinds.end(), [&](const auto& kind) { return kind.name == name; });
  return found == kinds.end() ? nullptr : found;
}

std::vector<std::string> device_kind_words() {
  std::vector<std::string> words;
  for (const DeviceKind& kind : kinds) words.emplace_back(kind.name);
  return words;
}

}  // namespace acme_agent
