#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/device_kind.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/root_bundle.hpp>

namespace acme_agent {

/// What the devices behind a broker can take: --for, --device-trust and --max-chain-bytes.
struct DeviceTerms {
  std::vector<const DeviceKind*> kinds;
  std::optional<RootBundle> roots;  ///< Nothing: they do not verify the chain.
  std::string roots_name;           ///< For people: "ISRG Root X1", or the file.
  std::size_t max_chain_bytes = 0;  ///< Of all certificates in DER; 0: any.

  bool operator==(const DeviceTerms&) const = default;
};

/// Why devices would refuse a broker that shows this chain at `now`, one sentence for the first reason and what to do
/// about it; nothing: they take it.
std::optional<std::string> why_devices_refuse(const CertificateChain& chain, const DeviceTerms& terms, TimePoint now);

/// The root of Let's Encrypt that most devices have built in.
RootBundle isrg_root_x1();

}  // namespace acme_agent
