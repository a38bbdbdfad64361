#include "support/fake_ca/certificates.hpp"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>

#include <acme_agent/base/base64url.hpp>
#include <acme_agent/base/dates.hpp>

namespace acme_agent::test {

using namespace std::chrono_literals;
using nlohmann::json;

namespace {

/// What Let's Encrypt suggests: 1 % of the lifetime around two thirds of it, or around half where it is short.
Window around_the_ideal(const Validity& validity) {
  const Duration lifetime = validity.lifetime();
  const TimePoint ideal = validity.not_after - (lifetime < std::chrono::days(10) ? lifetime / 2 : lifetime / 3);
  return {ideal - lifetime / 100, ideal + lifetime / 100};
}

}  // namespace

void Certificates::add(const std::string& account, const std::vector<Identifier>& names, const Certificate& leaf) {
  const std::string id = base64url_encode(leaf.authority_key_id()) + "." + base64url_encode(leaf.serial_octets());
  issued_.insert_or_assign(id, IssuedCertificate{leaf, account, names, leaf.validity()});
}

void Certificates::revoke_all() {
  for (auto& [id, certificate] : issued_) certificate.revoked = true;
}

void Certificates::revoke(const Signer& signer, const json& payload) {
  const std::string der = decoded(payload, "certificate");
  const auto found =
      std::find_if(issued_.begin(), issued_.end(), [&](const auto& entry) { return entry.second.leaf.der() == der; });
  if (found == issued_.end()) throw malformed("no such certificate");
  IssuedCertificate& certificate = found->second;
  const bool by_its_key = signer.account.empty() &&
                          EVP_PKEY_eq(X509_get0_pubkey(certificate.leaf.handle()), public_key(signer.jwk).get()) == 1;
  if (!by_its_key && signer.account != certificate.account) throw not_yours();
  if (certificate.revoked) throw Refusal{400, "alreadyRevoked", "it is revoked already"};
  const int reason = payload.value("reason", 0);
  constexpr std::array taken = {0, 1, 4, 5};  // Let's Encrypt's
  if (std::find(taken.begin(), taken.end(), reason) == taken.end())
    throw Refusal{400, "badRevocationReason", "no reason of a subscriber"};
  certificate.revoked = true;
  certificate.compromised = reason == 1;
}

bool Certificates::is_compromised(const Certificate& leaf) const {
  const EVP_PKEY* key = X509_get0_pubkey(leaf.handle());
  return std::any_of(issued_.begin(), issued_.end(), [&](const auto& entry) {
    return entry.second.compromised && EVP_PKEY_eq(X509_get0_pubkey(entry.second.leaf.handle()), key) == 1;
  });
}

int Certificates::revoked() const {
  return static_cast<int>(
      std::count_if(issued_.begin(), issued_.end(), [](const auto& entry) { return entry.second.revoked; }));
}

void Certificates::forget(TimePoint before) {
  std::erase_if(issued_, [&](const auto& entry) { return entry.second.validity.not_after < before; });
}

Response Certificates::renewal_info(const std::string& id) const {
  const auto found = issued_.find(id);
  if (found == issued_.end()) throw Refusal{404, "malformed", "no certificate " + id};
  Window window = suggestion ? suggestion(found->second.validity) : around_the_ideal(found->second.validity);
  if (found->second.revoked) window = {clock_.now() - 1h, clock_.now() - 30min};
  json body = {{"suggestedWindow", {{"start", format_rfc3339(window.start)}, {"end", format_rfc3339(window.end)}}}};
  if (!explanation.empty()) body["explanationURL"] = explanation;
  Response response = reply(200, body);
  if (!retry_after.empty()) response.headers.emplace("retry-after", retry_after);
  return response;
}

void Certificates::check_replaces(const std::string& id, const std::string& account,
                                  const std::vector<Identifier>& names) const {
  if (replaces_refusal) throw Refusal(*replaces_refusal);
  const auto found = issued_.find(id);
  if (found == issued_.end()) throw Refusal{404, "malformed", "no certificate " + id};
  const IssuedCertificate& before = found->second;
  if (before.account != account) throw not_yours();
  const bool overlaps = std::any_of(names.begin(), names.end(), [&](const Identifier& name) {
    return std::find(before.identifiers.begin(), before.identifiers.end(), name) != before.identifiers.end();
  });
  if (!overlaps) throw malformed("the certificate that is replaced has no name of this order");
}

}  // namespace acme_agent::test
