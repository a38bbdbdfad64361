#include "opinion.hpp"

#include <algorithm>
#include <vector>

#include <acme_agent/crypto/revocation_list.hpp>

namespace acme_agent::sim {

void Opinion::form(TimePoint now, const std::string& what, const test::Verification& verification) {
  said_ = test::verify(verification);
  what_ = what;
  asked_ = now;
  until_ = TimePoint::max();
  const auto note = [&](TimePoint date) {
    for (const TimePoint passed : {date, date + std::chrono::seconds(1)})
      if (passed > now) until_ = std::min(until_, passed);
  };
  std::vector<Certificate> certificates = verification.presented;
  const CertificateChain known = CertificateChain::from_pem(verification.roots);
  certificates.insert(certificates.end(), known.certificates().begin(), known.certificates().end());
  for (const Certificate& certificate : certificates) {
    note(certificate.validity().not_before);
    note(certificate.validity().not_after);
  }
  if (verification.crls.empty()) return;
  for (const RevocationList& list : read_crls(verification.crls)) {
    note(list.this_update);
    if (list.next_update) note(*list.next_update);
  }
}

}  // namespace acme_agent::sim
