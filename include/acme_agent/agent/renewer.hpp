#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include <acme_agent/acme/session.hpp>
#include <acme_agent/agent/agenda.hpp>
#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/key_type.hpp>
#include <acme_agent/base/log.hpp>
#include <acme_agent/broker/deployer.hpp>
#include <acme_agent/challenge/solver.hpp>
#include <acme_agent/net/transport.hpp>
#include <acme_agent/store/state.hpp>

namespace acme_agent {

/// One certificate to look after, with everything that takes; immutable.
struct Managed {
  std::string name;
  std::vector<Identifier> identifiers;
  std::string server;       ///< Directory URL.
  std::string server_name;  ///< For people.
  std::string email;        ///< Empty: none.
  KeyType key_type = KeyType::rsa2048;
  bool reuse_key = true;
  bool placeholder = true;
  DeploymentTarget target;
  std::shared_ptr<Solver> solver;
  std::function<std::unique_ptr<Transport>()> connect;  ///< A new client for this server.
};

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
  Renewer(Accounts accounts, std::function<CertificateState(const std::string& name)> state, Clock& clock, Log& log);

  /// `servable` is called, perhaps from another thread, when the broker's folder holds a pair that a broker can start
  /// with, or when it is clear that this run will not bring one. Empty: nobody waits for that.
  Outcome renew(const Managed& managed, const Wish& wish, const std::function<void()>& servable,
                const std::stop_token& stop) const;

 private:
  struct Attempt;

  Held obtain(const Managed& managed, const CertificateState& state, const std::optional<Held>& held,
              const std::optional<Pending>& pending, const std::function<void()>& servable,
              const std::stop_token& stop) const;
  PrivateKey choose_key(const Managed& managed, const CertificateState& state, const std::optional<Held>& held,
                        const std::optional<Pending>& pending) const;
  Account account_for(const Managed& managed) const;
  void register_account(const Managed& managed, Session& session, const Account& account,
                        const std::stop_token& stop) const;

  const Accounts accounts_;
  const std::function<CertificateState(const std::string&)> state_;
  Clock& clock_;
  Log& log_;
  mutable std::mutex accounts_mutex_;
};

/// Why and when the next certificate is to be ordered, if no order is under way (that one is due at once); pure.
struct Due {
  TimePoint when;
  Reason reason = Reason::missing;
};
Due next_order(const Managed& managed, const std::optional<Held>& held, const Record& record, TimePoint now);

/// What the failures in a record were for.
std::string inputs_of(const Managed& managed);

}  // namespace acme_agent
