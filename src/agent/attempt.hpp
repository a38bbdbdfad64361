#pragma once

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include <acme_agent/acme/resources.hpp>
#include <acme_agent/agent/issue.hpp>
#include <acme_agent/agent/look_ahead.hpp>
#include <acme_agent/agent/planner.hpp>
#include <acme_agent/agent/renewer.hpp>

namespace acme_agent {

constexpr const char* advice_on_clock =
    "; nothing is ordered until that is mended: set the clock, or let it be set over the network (timedatectl set-ntp "
    "true)";

/// One call of renew(): what is known of the certificate, and what has become of it.
struct Renewer::Attempt {
  const Renewer& renewer;
  const Managed& managed;
  const Wish& wish;
  const std::stop_token& stop;
  const CertificateState state = renewer.state_(managed.name);
  Record record{};
  Record stored{};             ///< As it is on disk.
  std::optional<Held> held{};  ///< Read when it is needed; record.held tells whether there is one.
  std::optional<Pending> pending{};
  std::optional<Revocation> revocation{};
  std::optional<Directory> directory{};  ///< Of the server that was asked last, with the connection to it.
  const AcmeServer* connected_to = nullptr;
  std::unique_ptr<Transport> transport{};
  std::string doubt{};      ///< Why the clock cannot be right; empty: it may be.
  std::string postponed{};  ///< Why nothing was ordered although somebody asked; empty: nobody did.
  bool ordered = false;
  bool issued = false;
  bool looked = false;
  bool looked_fully = false;

  TimePoint now() const { return renewer.clock_.now(); }
  void warn(const std::string& message) const { renewer.log_.warning(message, managed.name); }
  void info(const std::string& message) const { renewer.log_.info(message, managed.name); }

  /// Reads what is known.
  void load();
  /// A pair lies in the broker's folder, whatever it is worth.
  bool pair_lies() const;
  /// Sees to it that nothing is done by a clock that cannot be right.
  void doubt_clock();
  /// Where no pair lies and the clock is in doubt: a broker can start all the same.
  void place_what_there_is();
  /// Asks the server when it would have the certificate renewed, if that is due (RFC 9773 4.3).
  void ask_for_advice();
  /// Orders a certificate if one is due or wished for, from one server after the other.
  void order_while_due(const std::function<void()>& servable);
  /// Deploys what is held and looks at what is served, if that is due.
  void deploy_if_due();
  Outcome outcome();
  void save();
  /// What is new since the last run, a line each; everything if somebody asks.
  void tell(const Outcome& outcome) const;

 private:
  bool look_would_wake_us() const;
  bool daily_look_is_due() const;
  void load_held();
  bool leave_as_devices_refuse();
  void take_facts();
  void forget_failures();
  void load_pending();
  void load_revocation();
  void load_superseded();
  bool is_compromised(const PrivateKey& key) const {
    return revocation && revocation->compromised_keys.contains(key.thumbprint());
  }
  bool usable() const { return record.held && record.held->validity.contains(now()); }
  std::optional<Validity> validity() const;
  bool nobody_knows_the_time() const;
  bool clock_is_confirmed(const AcmeServer* but) const;
  Transport& connect(const AcmeServer& server);
  const Directory& directory_of(const AcmeServer& server);

  bool is_under_way(const AcmeServer& server) const;
  Due due_now() const;
  bool order_if_due(const std::function<void()>& servable);
  bool note_failed_validation(const AcmeServer& server, const ValidationError& failed, bool another_way);
  void note_failure(const AcmeServer& server, const Error& error);
  LookAhead look_ahead(const AcmeServer& server);
  std::string seen_from_here(const ValidationError& failed) const;
  void take_advice(const AcmeServer& server);
  /// Of the kind that is wanted, and the operator's own where there is one.
  bool is_wanted(const PrivateKey& key) const;
  PrivateKey operators_key() const;
  PrivateKey choose_key() const;
  PrivateKey choose_key_and_placeholder() const;
  void place_placeholder(const PrivateKey& key) const;
  [[noreturn]] void blame_clock(const AcmeServer& server, const std::string& why) const;
  bool may_order_at(const AcmeServer& server);
  bool its_turn(const AcmeServer& server);
  void obtain(const AcmeServer& server, const std::shared_future<PrivateKey>& chosen);
  void obtain_from_own(const AcmeServer& server);
  void hold(CertifiedKey pair, const AcmeServer& server, const std::string& order_url);
  CertifiedKey issue_with_account(const AcmeServer& server, const IssueRequest& request);

  std::string held_until() const;
  std::string served() const;
};

}  // namespace acme_agent
