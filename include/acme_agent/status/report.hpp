#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/key_type.hpp>
#include <acme_agent/base/window.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/store/state.hpp>

namespace acme_agent {

/// What of a certificate to look at first.
enum class Urgency { expired, missing, placeholder, failing, not_served, good };

/// A certificate to report on, and what the configuration says of it; where that knows nothing, the name alone.
struct Subject {
  std::string name;
  std::vector<std::string> domains = {};
  std::filesystem::path folder = {};                     ///< The broker's.
  std::map<std::string, std::string> server_names = {};  ///< By directory URL, as the operator calls them.
  std::string first_server = {};                         ///< As the operator calls it.
};

/// Everything that is shown of one certificate, as the files tell; no agent is asked and nothing is changed.
struct Report {
  /// What is held; where nothing is, what lies in the broker's folder.
  struct Leaf {
    Validity validity;
    std::string serial;
    std::string fingerprint_sha256;
    std::optional<KeyType> key_type;
    std::string issuer;
    bool placeholder = false;
  };

  /// What the server of the held certificate says about its renewal (RFC 9773).
  struct Advice {
    std::optional<Window> window;
    std::string explanation_url;  ///< Empty: none.
    std::optional<TimePoint> next_check;
  };

  struct ServerStanding {
    std::string server;
    Standing standing;
  };

  std::string name;
  std::vector<std::string> domains;
  std::string server;         ///< Empty: not known.
  std::string stands_in_for;  ///< The server that should have issued what our own authority did; empty: there is none.
  std::string state;          ///< valid, placeholder, expired, missing
  std::optional<Leaf> leaf;
  std::string chain_top;         ///< Empty: no chain.
  std::filesystem::path folder;  ///< The broker's.
  bool held = false;
  std::optional<Window> renewal;  ///< When to renew: as the server advises, else from our plan to the last moment.

  std::optional<TimePoint> next_attempt;
  Reason reason = Reason::missing;
  std::optional<TimePoint> last_attempt;
  std::string last_error;  ///< Empty: none.
  int failures = 0;
  bool overdue = false;

  bool deployed = false;  ///< In the broker's folder, and served where that is looked at.
  std::optional<TimePoint> next_deployment;
  std::string deployment_error;  ///< Empty: none.
  std::vector<Served> served;

  std::optional<Advice> advice;
  std::vector<ServerStanding> servers;  ///< Those that have failed or let us wait.
  Urgency urgency = Urgency::missing;

  int exit_code() const { return urgency < Urgency::not_served ? 1 : urgency == Urgency::not_served ? 3 : 0; }
};

/// Throws Error only where the state folder may not be read.
Report report_on(const Subject& subject, const StateFolder& state, TimePoint now);

/// All that is known at one moment.
struct Reports {
  std::string version;  ///< Of the program.
  TimePoint now;
  std::vector<Report> certificates;  ///< The most urgent first; of those that are alike, what ends or is due first.

  /// As interface.md has it for several: 1 goes before 3.
  int exit_code() const;
};
Reports report_on(const std::vector<Subject>& subjects, const StateFolder& state, std::string version, TimePoint now);

}  // namespace acme_agent
