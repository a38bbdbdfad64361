#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/crypto/issuing.hpp>

namespace acme_agent {

/// CRLReason privilegeWithdrawn: of certificates that were made to be revoked, so that a list can be seen at work. No
/// device is revoked for it.
inline constexpr int probe_reason = 9;

/// One certificate that is not to be accepted any more.
struct RevokedCertificate {
  std::string serial;  ///< As Certificate::serial() has it.
  TimePoint since;
  std::optional<int> reason{};  ///< CRLReason (RFC 5280 5.3.1); nothing: unspecified.

  bool operator==(const RevokedCertificate&) const = default;
};

/// What one issuer has revoked (a CRL, RFC 5280 5).
struct RevocationList {
  std::string issuer{};      ///< Common name.
  std::uint64_t number = 0;  ///< Larger in each new one; 0 if somebody else gave it none, or one beyond 64 bits.
  TimePoint this_update{};
  std::optional<TimePoint> next_update{};  ///< From then on, brokers refuse every certificate of the issuer.
  std::vector<RevokedCertificate> revoked{};
};

/// In PEM; of what is in `list`, the issuer is not looked at, and an end must be there.
std::string make_crl(const Issuer& issuer, const RevocationList& list);

/// All that stand in a PEM file, one after the other. Throws Error (ask_operator) if there is none, or one is damaged.
std::vector<RevocationList> read_crls(std::string_view pem);

}  // namespace acme_agent
