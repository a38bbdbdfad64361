#include "sights.hpp"

#include <algorithm>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

using namespace std::chrono_literals;

constexpr Duration longest_look = 5s;
constexpr Duration longest_verdict = 2s;
constexpr Duration first_pause = 5ms;
constexpr Duration longest_pause = 250ms;

/// The name for SNI; a wildcard stands for any name that it covers, and an address has none (RFC 6066 3).
std::string server_name_of(const std::vector<Identifier>& identifiers) {
  if (identifiers.empty() || identifiers.front().type == Identifier::Type::ip) return {};
  const Identifier& first = identifiers.front();
  return first.wildcard() ? "mqtt" + first.value.substr(1) : first.value;
}

/// RSA and ECDSA keys live side by side in a broker, and others too: a reload replaces only one of its own kind.
std::string key_kind(const Certificate& certificate) {
  const std::optional<KeyType> type = certificate.key_type();
  if (!type) return "another kind of";
  return is_rsa(*type) ? "an RSA" : "an EC";
}

std::string address_of(const Sight& sight, const Look& look) {
  return sight.endpoint.text() + " (" + look.address + ")";
}

}  // namespace

bool all_ok(const Sights& sights) {
  return !sights.empty() && std::ranges::all_of(sights, [](const Sight& sight) { return sight.verdict.ok; });
}

bool any_listening(const Sights& sights) {
  return std::ranges::any_of(sights, [](const Sight& sight) { return sight.verdict.listening; });
}

bool any_shown(const Sights& sights) {
  return std::ranges::any_of(sights, [](const Sight& sight) { return sight.verdict.shown; });
}

std::string faults_in(const Sights& sights) {
  std::vector<std::string> faults;
  for (const Sight& sight : sights)
    if (!sight.verdict.ok) faults.push_back(sight.endpoint.text() + ": " + sight.verdict.detail);
  return join(faults);
}

std::set<std::string> shown_in(const Sights& sights) {
  std::set<std::string> addresses;
  for (const Sight& sight : sights)
    for (const Look& look : sight.looks)
      if (look.state == Look::State::shown) addresses.insert(address_of(sight, look));
  return addresses;
}

std::optional<std::string> worsened(const std::set<std::string>& shown_before, const Sights& after) {
  for (const Sight& sight : after)
    for (const Look& look : sight.looks)
      if (look.client == TlsClient::standard && look.state == Look::State::no_tls &&
          shown_before.contains(address_of(sight, look)))
        return address_of(sight, look) + " showed a certificate before the reload and shows none now: " + look.detail;
  return std::nullopt;
}

std::vector<Seen> seen_in(const Sights& sights, const CertificateChain& expected) {
  std::vector<Seen> seen;
  for (const Sight& sight : sights) {
    for (const Look& first : sight.looks) {
      if (first.client != TlsClient::standard) continue;
      std::vector<Look> of_address;
      for (const Look& look : sight.looks)
        if (look.address == first.address) of_address.push_back(look);
      const Verdict verdict = judge(of_address, expected);
      if (!verdict.listening && sight.verdict.listening) continue;
      seen.push_back({sight.endpoint.text(), first.address, verdict.ok, verdict.detail});
    }
  }
  return seen;
}

std::optional<std::string> other_kind_of_key_in(const Sights& sights, const Certificate& ours) {
  const std::string kind = key_kind(ours);
  for (const Sight& sight : sights) {
    for (const Look& look : sight.looks) {
      if (look.state != Look::State::shown) continue;
      const std::string theirs = key_kind(look.peer.chain->leaf());
      if (theirs != kind)
        return sight.endpoint.text() + " serves " + theirs + " key and ours is " + kind +
               " key, which a reload cannot swap";
    }
  }
  return std::nullopt;
}

bool ends_before(const Sights& sights, TimePoint moment) {
  for (const Sight& sight : sights) {
    for (const Look& look : sight.looks) {
      if (look.state == Look::State::no_tls && look.client == TlsClient::standard) return true;
      if (look.state == Look::State::shown && look.peer.chain->leaf().validity().not_after < moment) return true;
    }
  }
  return false;
}

bool serves_better_than_placeholder(const Sights& sights, TimePoint now) {
  for (const Sight& sight : sights) {
    for (const Look& look : sight.looks) {
      if (look.state != Look::State::shown) continue;
      const Certificate& leaf = look.peer.chain->leaf();
      if (!leaf.placeholder() && leaf.validity().contains(now)) return true;
    }
  }
  return false;
}

Sight Viewer::look_at_endpoint(const Endpoint& endpoint, const CertificateChain& expected) const {
  const Duration timeout = std::min(target_.probe_timeout, longest_look);
  Sight sight{endpoint, look_at(endpoint, server_name_of(target_.identifiers), timeout, stop_), {}};
  sight.verdict = judge(sight.looks, expected);
  return sight;
}

Sights Viewer::look(const CertificateChain& expected) const {
  Sights sights;
  for (const Endpoint& endpoint : target_.probes) sights.push_back(look_at_endpoint(endpoint, expected));
  return sights;
}

Sights Viewer::look_until(const CertificateChain& expected, const std::function<bool(const Sights&)>& enough) const {
  const Duration deadline = clock_.uptime() + target_.probe_timeout;
  if (!target_.probes.empty()) log_.progress("waiting for the broker to serve the new certificate", target_.name);
  Sights sights = look(expected);
  Duration pause = first_pause;
  while (!enough(sights)) {
    const Duration left = deadline - clock_.uptime();
    if (left <= 0ms) break;
    if (!clock_.sleep_for(std::min(pause, left), stop_)) throw Stopped{};
    pause = std::min(2 * pause, std::max(longest_pause, target_.probe_timeout / 40));
    for (Sight& sight : sights)
      if (!sight.verdict.ok) sight = look_at_endpoint(sight.endpoint, expected);
  }
  return sights;
}

bool Viewer::open_stale_websockets(const Sights& sights) const {
  const Duration timeout = std::min(target_.probe_timeout, longest_look);
  bool any = false;
  for (const Sight& sight : sights)
    if (sight.verdict.shown && !sight.verdict.ok)
      any |= opens_websocket(sight.endpoint, server_name_of(target_.identifiers), timeout, stop_);
  return any;
}

std::optional<std::string> Viewer::why_mistaken(const Sights& sights, const ClientProof& proof) const {
  const Duration timeout = std::min(target_.probe_timeout, longest_verdict);
  for (const Sight& sight : sights)
    if (std::optional<std::string> why = why_clients_are_mistaken(sight.endpoint, sight.looks, proof,
                                                                  server_name_of(target_.identifiers), timeout, stop_))
      return why;
  return std::nullopt;
}

std::optional<std::string> Viewer::why_mistaken_at_last(const Sights& sights, const ClientProof& proof) const {
  const Duration deadline = clock_.uptime() + target_.probe_timeout;
  for (;;) {
    std::optional<std::string> why = why_mistaken(sights, proof);
    if (!why || clock_.uptime() >= deadline) return why;
    if (!clock_.sleep_for(longest_pause, stop_)) throw Stopped{};
  }
}

}  // namespace acme_agent
