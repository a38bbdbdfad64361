#include <algorithm>
#include <iterator>
#include <string>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {
namespace {

std::vector<Identifier> sorted_set(std::vector<Identifier> identifiers) {
  std::ranges::sort(identifiers);
  identifiers.erase(std::unique(identifiers.begin(), identifiers.end()), identifiers.end());
  return identifiers;
}

std::vector<Identifier> without(const std::vector<Identifier>& all, const std::vector<Identifier>& taken_away) {
  std::vector<Identifier> left;
  std::ranges::set_difference(all, taken_away, std::back_inserter(left));
  return left;
}

std::string names(const std::vector<Identifier>& identifiers) {
  std::vector<std::string> words;
  for (const Identifier& identifier : identifiers) words.push_back(printable(identifier.value, 80));
  return printable(join(words), 400);
}

void check_names(const Certificate& leaf, const std::vector<Identifier>& identifiers) {
  const std::vector<Identifier> wanted = sorted_set(identifiers);
  const std::vector<Identifier> got = sorted_set(leaf.identifiers());
  const std::vector<Identifier> missing = without(wanted, got);
  const std::vector<Identifier> extra = without(got, wanted);
  if (missing.empty() && extra.empty()) return;
  std::string message = "the issued certificate is not for the names that were asked for: ";
  if (!missing.empty()) message += "it lacks " + names(missing);
  if (!missing.empty() && !extra.empty()) message += " and ";
  if (!extra.empty()) message += "it also names " + names(extra);
  throw Error(Remedy::retry, message);
}

void check_dates(const Certificate& leaf, TimePoint now, Duration clock_skew) {
  const Validity validity = leaf.validity();
  if (validity.not_after < validity.not_before) {
    throw Error(Remedy::retry, "the issued certificate ends (" + format_rfc3339(validity.not_after) +
                                   ") before it begins (" + format_rfc3339(validity.not_before) + ")");
  }
  if (now + clock_skew < validity.not_before) {
    throw Error(Remedy::retry, "the issued certificate is valid only from " + format_rfc3339(validity.not_before) +
                                   ", but it is " + format_rfc3339(now) + " here; is the clock of this machine right?");
  }
  if (validity.not_after < now) {
    throw Error(Remedy::retry, "the issued certificate expired at " + format_rfc3339(validity.not_after) +
                                   ", and it is " + format_rfc3339(now) + " here; is the clock of this machine right?");
  }
}

void check_links(const std::vector<Certificate>& chain) {
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
    if (chain[i].signed_by(chain[i + 1])) continue;
    throw Error(Remedy::retry, "the chain of the issued certificate is broken: number " + std::to_string(i + 1) + " (" +
                                   printable(chain[i].subject(), 80) + ") is not signed by the one after it (" +
                                   printable(chain[i + 1].subject(), 80) + ")");
  }
}

}  // namespace

void check_issued(const CertifiedKey& pair, const std::vector<Identifier>& identifiers, TimePoint now,
                  Duration clock_skew) {
  const Certificate& leaf = pair.chain.leaf();
  if (!leaf.has_public_key_of(pair.key)) {
    throw Error(Remedy::retry,
                "the issued certificate (for " + names(leaf.identifiers()) + ") carries the public key of another key");
  }
  check_names(leaf, identifiers);
  check_dates(leaf, now, clock_skew);
  check_links(pair.chain.certificates());
}

}  // namespace acme_agent
