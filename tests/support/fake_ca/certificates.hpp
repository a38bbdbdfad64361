#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/identifier.hpp>
#include <acme_agent/base/window.hpp>
#include <acme_agent/crypto/certificate.hpp>

#include "support/fake_ca/accounts.hpp"
#include "support/fake_ca/refusal.hpp"

namespace acme_agent::test {

/// One that the server has issued.
struct IssuedCertificate {
  Certificate leaf;
  std::string account;
  std::vector<Identifier> identifiers;
  Validity validity;
  bool revoked = false;
  bool compromised = false;
};

/// What the server has issued, and its advice on when that is to be renewed (RFC 9773).
class Certificates {
 public:
  explicit Certificates(const Clock& clock) : clock_(clock) {}

  void add(const std::string& account, const std::vector<Identifier>& names, const Certificate& leaf);
  void revoke_all();
  /// RFC 8555 7.6
  void revoke(const Signer& signer, const nlohmann::json& payload);
  /// Whether somebody has revoked a certificate of this key because it is compromised.
  bool is_compromised(const Certificate& leaf) const;
  /// How many are revoked.
  int revoked() const;
  void forget(TimePoint before);

  /// RFC 9773 4.2
  Response renewal_info(const std::string& id) const;
  /// RFC 9773 5, but for other orders; throws Refusal.
  void check_replaces(const std::string& id, const std::string& account, const std::vector<Identifier>& names) const;

  // As FakeCa describes them.
  bool advises = true;
  std::function<Window(const Validity&)> suggestion;
  std::string retry_after = "21600";
  std::string explanation;
  std::optional<Refusal> replaces_refusal;

 private:
  const Clock& clock_;
  std::map<std::string, IssuedCertificate> issued_;  ///< By renewal_info_id().
};

}  // namespace acme_agent::test
