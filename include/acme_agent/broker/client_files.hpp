#pragma once

#include <optional>
#include <string>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {

/// Two devices, one that a broker is to let in and one that it is not.
struct ClientProof {
  CertifiedKey good;
  CertifiedKey revoked;
};

/// What a broker needs to tell devices by their certificates.
struct ClientFiles {
  std::string ca;                    ///< PEM, for cafile: the authorities that issue to devices.
  std::string crl;                   ///< PEM, for crlfile: what of theirs is revoked.
  std::optional<ClientProof> proof;  ///< Nothing: no device has a certificate yet.
};

/// Where they come from.
class ClientAuthority {
 public:
  virtual ~ClientAuthority() = default;
  /// As they are to be from now on; nothing where there is no authority for devices. Throws Error.
  virtual std::optional<ClientFiles> files(TimePoint now) = 0;
  /// Whether there is one; cheap.
  virtual bool exists() const = 0;
};

}  // namespace acme_agent
