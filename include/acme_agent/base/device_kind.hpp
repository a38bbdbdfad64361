#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/base/key_type.hpp>

namespace acme_agent {

/// Devices that many of our users have, by what they can take: the words of --for.
struct DeviceKind {
  std::string_view name;  ///< "tasmota", …
  std::string_view who;   ///< For people: "Tasmota devices", …
  std::span<const KeyType> key_types;
  bool rsa_signatures_only = false;  ///< Every certificate that they are shown is signed by RSA with SHA-256.
  bool wildcards = true;
  bool addresses = true;              ///< They take a certificate that names no more than an IP address.
  std::size_t max_intermediates = 0;  ///< 0: any number.
  std::size_t max_chain_bytes = 0;    ///< Of all certificates in DER; 0: any.
};

std::span<const DeviceKind> device_kinds();
/// Null if there is no such word.
const DeviceKind* find_device_kind(std::string_view name);
/// All the words, for messages.
std::vector<std::string> device_kind_words();

}  // namespace acme_agent
