#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/day_span.hpp>
#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/base/log.hpp>
#include <acme_agent/broker/client_files.hpp>
#include <acme_agent/broker/further_folder.hpp>
#include <acme_agent/broker/probe.hpp>
#include <acme_agent/broker/reloader.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/private_key.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {

/// Where the broker finds its certificate, how it is told, and how it is seen.
struct DeploymentTarget {
  std::string name;                     ///< Of the certificate.
  std::vector<Identifier> identifiers;  ///< The first is sent as SNI.
  std::string folder;                   ///< --cert-dir. No path: that would take ten times the memory of its text.
  Ownership ownership;       ///< --owner, --mode. Without gid: that of the broker's process, if we may give it.
  bool owner_given = false;  ///< Said by the operator: never replaced by a guess.
  std::vector<FurtherFolder> further;        ///< --deploy
  std::shared_ptr<ClientAuthority> clients;  ///< Whose files lie beside the pair in `folder`; null: there are none.
  std::vector<std::shared_ptr<Reloader>> reloaders;
  std::vector<Endpoint> probes;   ///< Empty: no proof is wanted.
  bool probe_is_default = false;  ///< Then a port where nobody listens and no broker runs is no error.
  Duration probe_timeout = std::chrono::seconds(10);
  bool only_restarts = false;             ///< The broker reads its files when it starts, and never again.
  std::optional<DaySpan> restart_window;  ///< When it may be restarted where a reload cannot do it; nothing: never.

  auto operator<=>(const DeploymentTarget&) const = default;
};

/// What one endpoint's address serves, for the record.
struct Seen {
  std::string endpoint;
  std::string address;
  bool ok = false;
  std::string detail;
};

/// How a deployment ended. It throws nothing but Stopped: a failed deployment is a state, with its own next try.
struct Deployment {
  enum class State {
    done,            ///< In the folder, and served wherever a probe is set.
    waiting,         ///< In the folder; the broker is down, silent or slow: look again soon.
    restart_needed,  ///< In the folder, not signalled: the broker must be restarted, by the operator or at `next`.
    failed,          ///< Something is in the way that an operator must mend; the old files are untouched or came back.
  };

  State state = State::done;
  bool switched = false;  ///< New files were put into the folder.
  bool reloaded = false;  ///< The broker was told.
  bool rolled_back = false;
  std::string detail;             ///< One sentence: what is wrong and what to do; empty if done.
  std::optional<TimePoint> next;  ///< When to try again; nothing: soon, and then less and less often.
  std::vector<Seen> seen;
  std::string stamp;  ///< Deployer::stamp() of the files, if they are those of the pair given; else empty.
};

/// How much a deployment may do where nothing has changed since the last one.
enum class Effort {
  force,  ///< The same as full, and nothing that lies there is too good to be replaced.
  full,   ///< Tell the broker again where it does not serve what it should.
  urge,   ///< As look; and tell the broker again where what it serves ends within a day, or nothing is.
  look,   ///< Look only; the broker is told again if it was restarted or the files had to be written again.
};

/// Puts pairs into the broker's folder, and with them what tells devices by their certificates; makes it reload, looks
/// that it serves them and lets in whom it should and nobody revoked, and goes back where that is truly better
/// (`interface.md`, Deployment). Safe to repeat at any time: a crash anywhere is mended by the next deploy().
class Deployer {
 public:
  Deployer(Clock& clock, Log& log) : clock_(clock), log_(log) {}

  /// Makes the held pair the deployed and served one. When it is already, this costs one look and changes nothing.
  /// A good pair of the same authority that was issued later and ends later stays, and is made the served one; so does
  /// one that devices accept where ours is of a server for tests.
  /// `stamp`, of the last deployment of this pair, tells that its files still lie there, without reading them.
  Deployment deploy(const DeploymentTarget& target, const CertifiedKey& held, Effort effort,
                    const std::stop_token& stop, const std::string& stamp = "") const;

  /// Where no usable pair lies (none, torn, damaged, expired placeholder): a self-signed one made with `key`, valid for
  /// 30 days, so that the broker can start; told to reload if it runs, unless it serves something better. Touches
  /// nothing where a pair lies that is no placeholder of ours, in date or not. Nothing if nothing was to do.
  std::optional<Deployment> deploy_placeholder(const DeploymentTarget& target, const PrivateKey& key,
                                               const std::stop_token& stop) const;

  /// What lies in the folder: a matching pair, or nothing. Throws Error if we may not read it.
  static std::optional<CertifiedKey> deployed(const DeploymentTarget& target);

  /// Another text whenever the files there are other ones, or are to have another owner or mode; cheap.
  static std::string stamp(const DeploymentTarget& target);

 private:
  Clock& clock_;
  Log& log_;
};

}  // namespace acme_agent
