#include "certificate_claims.hpp"

namespace acme_agent::fuzz {

void one_input(std::string_view input) {
  const auto chain = attempt_and_note([input] { return CertificateChain::from_pem(input); });
  if (!chain) return;
  const std::vector<Certificate>& certificates = chain->certificates();
  expect(certificates.size() <= 20, "a chain is short");
  for (const Certificate& certificate : certificates) check_certificate(certificate);
  expect(CertificateChain::from_pem(chain->pem()) == *chain, "a chain reads as itself", chain->pem());
  expect(chain->leaf_pem() + chain->rest_pem() == chain->pem(), "a chain is its leaf and the rest");
  expect(chain->top() == certificates.back().issuer(), "the top issued the last one");

  // RFC 8555 11.4
  const std::string_view begin = "-----BEGIN";
  for (auto at = input.find(begin); at != std::string_view::npos; at = input.find(begin, at + 1)) {
    expect(input.substr(at + begin.size()).starts_with(" CERTIFICATE-----"), "nothing but certificates is taken");
  }
}

}  // namespace acme_agent::fuzz
