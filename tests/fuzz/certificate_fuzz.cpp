#include "certificate_claims.hpp"

namespace acme_agent::fuzz {

void one_input(std::string_view input) {
  const auto certificate = attempt_and_note([input] { return Certificate::from_der(input); });
  if (!certificate) return;
  const bool definite = input[1] != '\x80';  // BER's other way to say where something ends
  expect(!definite || element_size(input) == input.size(), "a certificate is all that there is", to_hex(input));
  check_certificate(*certificate);
  const CertificateChain chain({*certificate});
  expect(CertificateChain::from_pem(chain.pem()) == chain, "a chain reads as itself", chain.pem());
}

}  // namespace acme_agent::fuzz
