#pragma once

#include <stop_token>

#include <acme_agent/acme/resources.hpp>
#include <acme_agent/base/clock.hpp>
#include <acme_agent/net/transport.hpp>
#include <acme_agent/store/state.hpp>

namespace acme_agent {

/// Another key for the account at one server (RFC 8555 7.3.5). The new key is on disk before the server hears of it, so
/// that whatever is lost on the way, and wherever we crash, one of the two keys that we have is the account's.
class KeyRollover {
 public:
  KeyRollover(Accounts accounts, Transport& transport, const Clock& clock, Directory directory);

  /// Gives the account, whose URL is known, a new key. Throws Error: then settle() tells which key it has.
  Account roll_over(const Account& account, const std::stop_token& stop) const;

  /// After a change that was cut off: asks the server which of the two keys it knows, and keeps that. Nothing is asked
  /// where no change is under way.
  Account settle(const Account& account, const std::stop_token& stop) const;

 private:
  const Accounts accounts_;
  Transport& transport_;
  const Clock& clock_;
  const Directory directory_;
};

}  // namespace acme_agent
