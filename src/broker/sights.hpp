#pragma once

#include <functional>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/log.hpp>
#include <acme_agent/broker/client_files.hpp>
#include <acme_agent/broker/deployer.hpp>
#include <acme_agent/broker/probe.hpp>
#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {

/// What was seen at one endpoint.
struct Sight {
  Endpoint endpoint;
  std::vector<Look> looks;
  Verdict verdict;
};

using Sights = std::vector<Sight>;

/// Whether there are endpoints, and all serve what they should.
bool all_ok(const Sights& sights);

bool any_listening(const Sights& sights);
bool any_shown(const Sights& sights);

/// What is wrong, in clauses.
std::string faults_in(const Sights& sights);

/// The addresses that show a certificate.
std::set<std::string> shown_in(const Sights& sights);

/// The first address that showed a certificate before and now ends the handshake without one.
std::optional<std::string> worsened(const std::set<std::string>& shown_before, const Sights& after);

/// The addresses of each endpoint: those where somebody listens; all where nobody does.
std::vector<Seen> seen_in(const Sights& sights, const CertificateChain& expected);

/// Where a listener serves another kind of key than this certificate's, which a reload would leave in place.
std::optional<std::string> other_kind_of_key_in(const Sights& sights, const Certificate& ours);

/// Whether what an address serves ends before that, or nothing is served there at all.
bool ends_before(const Sights& sights, TimePoint moment);

/// Whether some address serves a certificate in date that is no placeholder.
bool serves_better_than_placeholder(const Sights& sights, TimePoint now);

/// Looks at the endpoints of a target, as clients do. All throw Stopped.
class Viewer {
 public:
  Viewer(const DeploymentTarget& target, Clock& clock, Log& log, const std::stop_token& stop)
      : target_(target), clock_(clock), log_(log), stop_(stop) {}

  Sights look(const CertificateChain& expected) const;

  /// Again and again where it is not right yet, until it is enough or the target's patience is over.
  Sights look_until(const CertificateChain& expected, const std::function<bool(const Sights&)>& enough) const;

  /// Opens the listeners for WebSockets that serve something else, so that they mind the next reload; whether there
  /// are any.
  bool open_stale_websockets(const Sights& sights) const;

  /// Why devices are not told by their certificates as they should; nothing if they are, or if no listener wants to see
  /// one.
  std::optional<std::string> why_mistaken(const Sights& sights, const ClientProof& proof) const;

  /// The same when the broker has had its time to read the files.
  std::optional<std::string> why_mistaken_at_last(const Sights& sights, const ClientProof& proof) const;

 private:
  Sight look_at_endpoint(const Endpoint& endpoint, const CertificateChain& expected) const;

  const DeploymentTarget& target_;
  Clock& clock_;
  Log& log_;
  const std::stop_token& stop_;
};

}  // namespace acme_agent
