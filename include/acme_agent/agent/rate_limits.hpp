#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/agent/known_servers.hpp>
#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/identifier.hpp>
#include <acme_agent/store/state.hpp>

namespace acme_agent {

/// Keeps within the limits of the servers that we know (KnownServer), so that they are never met: what is taken is
/// counted on disk before it is used. Servers that we do not know are free. Safe from every thread.
class RateLimits {
 public:
  RateLimits(Accounts accounts, const Clock& clock) : accounts_(std::move(accounts)), clock_(clock) {}

  /// From when an order for these names may be placed: now, where there is room. The order's place in the queue of the
  /// account is taken with the first call; later calls give it as `turn` until the order is placed.
  TimePoint take_turn(const std::string& server, const std::vector<Identifier>& names,
                      const std::optional<TimePoint>& turn);

  /// The server could not validate these.
  void validation_failed(const std::string& server, const std::vector<Identifier>& names);

  /// The server has issued a certificate for exactly these.
  void issued(const std::string& server, const std::vector<Identifier>& names);

 private:
  Spent& spent_at(const std::string& server);
  void save(const std::string& server);

  const Accounts accounts_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Spent> spent_;  ///< As on disk; by directory URL.
};

/// No queue of orders is longer: 72,000 certificates at Let's Encrypt.
constexpr Duration furthest_turn = std::chrono::hours(30 * 24);

/// A bucket that will be full again at `full_at` has its next token at this moment, `now` at the earliest.
TimePoint next_token(const RateLimit& limit, TimePoint full_at, TimePoint now);

}  // namespace acme_agent
