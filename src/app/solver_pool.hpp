#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/base/log.hpp>
#include <acme_agent/challenge/solver.hpp>
#include <acme_agent/config/configuration.hpp>
#include <acme_agent/net/alpn_listener.hpp>
#include <acme_agent/net/http01_listener.hpp>
#include <acme_agent/sys/passed_sockets.hpp>
#include <acme_agent/sys/processes.hpp>

namespace acme_agent {

/// The solvers of all certificates: one for those that answer at the same place, by the socket that was passed in for
/// it or one of its own.
class SolverPool {
 public:
  /// Takes the passed sockets, so make it before the first thread. All given must live as long.
  SolverPool(Clock& clock, Log& log, const Processes& processes);

  /// For a challenge of the certificate. The same as before for the same settings, also later. Throws Error
  /// (ask_operator) if the key of --dns-tsig-file cannot be read.
  std::shared_ptr<Solver> solver_for(const std::string& challenge, const CertificateSettings& settings);

  /// Remembers who holds the port now, to be named when the right to look is given up.
  void see_holder_of(std::uint16_t port);

  /// Says which sockets that were passed in nobody has asked for.
  void warn_of_idle_sockets();

  Solvers all() const;

 private:
  std::shared_ptr<Solver> http_solver_at(const Endpoint& endpoint);
  std::shared_ptr<Solver> alpn_solver_at(const Endpoint& endpoint);
  std::shared_ptr<Solver> webroot_solver_in(const std::filesystem::path& folder);
  std::shared_ptr<Solver> dns_hook_solver_for(const CertificateSettings& settings);
  std::shared_ptr<Solver> dns_update_solver_for(const CertificateSettings& settings);
  std::shared_ptr<Solver> dns_persist_solver();
  template <class Listener>
  std::shared_ptr<Listener> make_listener(const std::string& challenge, const Endpoint& endpoint);
  std::string place_of(const std::string& challenge, const Endpoint& endpoint) const;
  std::string describe_holder(std::uint16_t port) const;

  Clock& clock_;
  Log& log_;
  const Processes& processes_;
  std::vector<PassedSocket> passed_;  ///< Those that are in use have lost their descriptors to the listeners.
  std::map<std::uint16_t, std::optional<Process>> port_holders_;  ///< As seen when all processes could be looked at.
  std::map<std::string, std::shared_ptr<Http01Listener>> http_listeners_;
  std::map<std::string, std::shared_ptr<AlpnListener>> alpn_listeners_;
  std::map<std::string, std::shared_ptr<Solver>> solvers_;
};

}  // namespace acme_agent
