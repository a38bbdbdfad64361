#pragma once

#include <array>

#include <acme_agent/base/clock.hpp>

// What befalls the agent in the simulation, how often and for how long. All numbers of it are here.

namespace acme_agent::sim {

using namespace std::chrono_literals;
using std::chrono::days;

/// What lasts for a while.
enum class Fault {
  ca_away,           ///< No connection to the server.
  ca_errors,         ///< Some answers are 500 or 503, with and without Retry-After.
  answers_lost,      ///< Requests arrive, some answers do not.
  answers_slow,      ///< Each answer takes seconds or a minute.
  advice_broken,     ///< Windows that are inverted, in the past or after expiry; no advice at all.
  validation_fails,  ///< DNS or port 80.
  broker_away,       ///< Its process is not there.
  files_unreadable,  ///< To the broker alone.
  key_unreadable,    ///< The same for the key alone: what it loads does not match.
  clock_wrong,       ///< Of the agent's machine.
  agent_away,        ///< Its process is not there.
  disk_full,
  no_descriptors,
  broker_not_restarted,  ///< Though another kind of key needs that; drawn with Event::key_change.
  server_busy,           ///< It has named a moment with Retry-After; drawn with ca_errors.
  owner_awaited,  ///< For a certificate of our own authority that a clock ahead has issued: only its owner may tell.
};

struct FaultRate {
  Fault fault;
  double per_year;
  Duration shortest;  ///< The logarithm of the duration is uniform: most are short.
  Duration longest;
};

inline constexpr std::array fault_rates{
    FaultRate{Fault::ca_away, 6, 5s, days(14)},         FaultRate{Fault::ca_errors, 5, 1min, days(5)},
    FaultRate{Fault::answers_lost, 4, 1min, days(2)},   FaultRate{Fault::answers_slow, 3, 1min, days(2)},
    FaultRate{Fault::advice_broken, 1.5, 1h, days(40)}, FaultRate{Fault::validation_fails, 4, 1min, days(10)},
    FaultRate{Fault::broker_away, 3, 5s, 1h},           FaultRate{Fault::files_unreadable, 0.7, 1min, days(2)},
    FaultRate{Fault::key_unreadable, 2, 1h, days(6)},   FaultRate{Fault::clock_wrong, 0.8, 1min, 12h},
    FaultRate{Fault::agent_away, 6, 1s, days(3)},       FaultRate{Fault::disk_full, 2, 1min, days(3)},
    FaultRate{Fault::no_descriptors, 1, 1min, 6h},
};

/// What happens at one moment.
enum class Event {
  crash,           ///< The agent dies at one of its next steps, and is started again.
  broker_restart,  ///< As for an update.
  revocation,      ///< The server revokes all that it has issued.
  account_lost,    ///< The server no longer knows the account.
  key_change,      ///< The operator wants the other kind of key, and restarts the broker some time after.
};

struct EventRate {
  Event event;
  double per_year;
};

inline constexpr std::array event_rates{
    EventRate{Event::crash, 12},         EventRate{Event::broker_restart, 4}, EventRate{Event::revocation, 0.3},
    EventRate{Event::account_lost, 0.1}, EventRate{Event::key_change, 0.15},
};

// What people do whose broker has its certificate from our own authority (--local).
inline constexpr int first_clients = 3;
inline constexpr int first_devices = 5;
inline constexpr int most_clients = 8;
inline constexpr int most_devices = 10;
inline constexpr double new_clients_per_year = 0.4;
inline constexpr double new_devices_per_year = 1;
inline constexpr double revocations_per_year = 0.4;
inline constexpr double absences_per_year = 0.4;  ///< Of each device.
inline constexpr Duration shortest_absence = days(20);
inline constexpr Duration longest_absence = days(400);
inline constexpr Duration shortest_device_lifetime = days(365);
inline constexpr Duration shortest_until_told_again = days(365);  ///< A client of the newest root.
inline constexpr Duration longest_until_told_again = days(3650);
inline constexpr Duration shortest_until_owner_comes = 1h;
inline constexpr Duration longest_until_owner_comes = days(3);

constexpr int steps_to_a_crash = 90;  ///< At most; each as likely as any other.
constexpr Duration shortest_restart = 1s;
constexpr Duration longest_restart = 1h;
constexpr Duration longest_until_broker_restart = days(1);
constexpr double share_of_errors_with_retry_after = 0.4;
constexpr Duration longest_retry_after = 6h;

/// What a server issues, and with what weight a simulated decade has it.
struct Lifetime {
  Duration lifetime;
  int weight;
};

inline constexpr std::array lifetimes{
    Lifetime{days(90), 40},
    Lifetime{days(64), 25},
    Lifetime{days(45), 28},
    Lifetime{160h, 7},
};

constexpr double share_with_lifetime_change = 0.3;  ///< Half-way through the decade.
constexpr double share_with_second_server = 0.25;
constexpr double share_with_rsa = 0.4;
constexpr double share_with_new_keys = 0.4;             ///< A new key for each certificate.
constexpr double share_with_advice_each_6_hours = 0.1;  ///< Retry-After of renewal information; a day for the others.
constexpr double share_without_advice = 0.1;

}  // namespace acme_agent::sim
