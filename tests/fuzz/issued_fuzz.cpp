#include <acme_agent/crypto/private_key.hpp>

#include "certificate_claims.hpp"
#include "key.hpp"

namespace acme_agent::fuzz {
namespace {

using namespace std::chrono;

bool same_set(std::vector<Identifier> one, std::vector<Identifier> other) {
  for (auto* names : {&one, &other}) {
    std::sort(names->begin(), names->end());
    names->erase(std::unique(names->begin(), names->end()), names->end());
  }
  return one == other;
}

}  // namespace

/// Certificates in DER, one behind the other.
void one_input(std::string_view input) {
  static const PrivateKey key = PrivateKey::from_pem(Secret(key_pem));
  static const std::vector<Identifier> names = {{Identifier::Type::dns, "mydyn.example"},
                                                {Identifier::Type::dns, "mqtt.mydyn.example"}};
  constexpr TimePoint now = sys_days{2026y / November / 22};

  std::vector<Certificate> certificates;
  while (!input.empty() && certificates.size() < 4) {
    const std::size_t size = std::min(element_size(input), input.size());
    const auto certificate = attempt_and_note([&] { return Certificate::from_der(input.substr(0, size)); });
    if (!certificate) return;
    certificates.push_back(*certificate);
    input.remove_prefix(size);
  }
  if (certificates.empty()) return;

  const CertifiedKey pair{key, CertificateChain(certificates)};
  const bool accepted = attempt_and_note([&] {
                          check_issued(pair, names, now);
                          return true;
                        }).has_value();
  const Certificate& leaf = certificates.front();
  const Validity validity = leaf.validity();
  bool linked = true;
  for (std::size_t i = 1; i < certificates.size(); ++i)
    linked = linked && certificates[i - 1].signed_by(certificates[i]);
  const bool good = leaf.has_public_key_of(key) && same_set(leaf.identifiers(), names) &&
                    validity.not_before <= now + 1h && validity.not_before <= validity.not_after &&
                    now <= validity.not_after && linked;
  expect(accepted == good, "a chain is accepted if and only if key, names, dates and signatures are right");
}

}  // namespace acme_agent::fuzz
