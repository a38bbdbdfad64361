#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/acme/session.hpp>
#include <acme_agent/agent/agenda.hpp>
#include <acme_agent/agent/look_ahead.hpp>
#include <acme_agent/agent/managed.hpp>
#include <acme_agent/agent/rate_limits.hpp>
#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/log.hpp>
#include <acme_agent/store/state.hpp>

namespace acme_agent {

/// The state after a renewal was tried or found unnecessary.
struct Outcome {
  bool issued = false;  ///< A new certificate was issued just now.
  bool good = false;    ///< Issued by its server, in date, not overdue.
  bool served = false;  ///< And served wherever a probe is set.
  bool proven = false;  ///< A probe has seen it served.
  TimePoint next;       ///< When to look again.
  std::string problem;  ///< One sentence for the first thing that is not as it should be; else empty.

  int exit_code() const { return !good ? 1 : !served ? 3 : 0; }
};

/// Makes it so: that a certificate is held, in date, deployed and served. Safe to repeat at any moment and after any
/// crash; one object serves every thread, for different certificates. Never throws but Stopped.
class Renewer {
 public:
  /// Nothing is ordered by a clock that is earlier than `built`, unless a server's clock says the same.
  Renewer(Accounts accounts, std::function<CertificateState(const std::string& name)> state, TimePoint built,
          Clock& clock, Log& log, ExplainNames explain = {});

  /// The broker's folder holds a pair that a broker can start with. Cheap where nothing has changed since all was well.
  bool is_servable(const Managed& managed) const;

  /// Where no pair lies in the broker's folder: what is held, else a placeholder. No server is asked. Whether a pair
  /// lies there then.
  bool place_what_there_is(const Managed& managed, const std::stop_token& stop) const;

  /// `servable` is called, perhaps from another thread, when the broker's folder holds a pair that a broker can start
  /// with, or when it is clear that this run will not bring one. Empty: nobody waits for that.
  Outcome renew(const Managed& managed, const Wish& wish, const std::function<void()>& servable,
                const std::stop_token& stop) const;

 private:
  struct Attempt;

  /// What servers say of our clock, shared by all certificates; moments by uptime.
  struct ClockCheck {
    std::optional<Duration> confirmed;        ///< When one said the same as ours.
    std::map<std::string, Duration> in_vain;  ///< When one was asked and did not, by URL.
    Duration started{};                       ///< What our clock said minus uptime: it changes when the clock is set.
    std::string refuted;                      ///< Why a server's clock says that ours is wrong; empty: none does.
  };

  struct KnownAccount {
    std::string stamp;  ///< Accounts::stamp()
    Account account;
  };

  struct KnownDirectory {
    Directory directory;
    Duration fetched;  ///< By uptime.
  };

  static bool pair_lies(const DeploymentTarget& target, const Record& record);
  Account account_for(const Managed& managed, const AcmeServer& server) const;
  std::string register_account(const Managed& managed, const AcmeServer& server, Session& session,
                               const Account& account, const std::stop_token& stop) const;
  /// The directory of the server as it was within a day: good enough to ask for advice.
  std::optional<Directory> known_directory(const AcmeServer& server) const;
  /// Nothing: it is not to be relied on any more.
  void know_directory(const AcmeServer& server, std::optional<Directory> directory) const;
  bool clock_is_confirmed(const AcmeServer& server, const std::stop_token& stop) const;
  void refute_clock(const std::string& name, const AcmeServer& server, const std::string& why) const;
  std::optional<std::string> why_clock_was_refuted() const;
  void doubt_clock(const std::string& name, const std::string& why) const;
  void trust_clock(const std::string& name) const;

  const Accounts accounts_;
  const std::function<CertificateState(const std::string&)> state_;
  const TimePoint built_;
  Clock& clock_;
  Log& log_;
  const ExplainNames explain_;
  mutable RateLimits limits_;
  mutable std::mutex registering_mutex_;
  mutable std::mutex accounts_mutex_;
  mutable std::map<std::string, KnownAccount>
      known_accounts_;  ///< By directory URL: OpenSSL parses a key in a millisecond.
  mutable std::mutex directories_mutex_;
  mutable std::map<std::string, KnownDirectory> known_directories_;  ///< By URL.
  mutable std::mutex clock_mutex_;
  mutable ClockCheck clock_check_;
  mutable std::set<std::string> doubted_by_;  ///< Certificates.
};

}  // namespace acme_agent
