#include "solver_pool.hpp"

#include <utility>

#include <acme_agent/base/text.hpp>
#include <acme_agent/challenge/dns_hook_solver.hpp>
#include <acme_agent/challenge/dns_persist_solver.hpp>
#include <acme_agent/challenge/dns_update_solver.hpp>
#include <acme_agent/challenge/http01_solver.hpp>
#include <acme_agent/challenge/tls_alpn01_solver.hpp>
#include <acme_agent/challenge/webroot_solver.hpp>

#include "operators_files.hpp"

namespace acme_agent {
namespace {

constexpr Duration dns_hook_timeout = std::chrono::minutes(5);  // many wait until all name servers show the record

/// By the name of the socket, or by its port.
bool is_for(const PassedSocket& socket, const std::string& challenge, const Endpoint& endpoint) {
  return socket.name == challenge || socket.port == endpoint.port;
}

/// Read each time, as it may change.
Resolver system_resolver() {
  return Resolver::of_system();
}

}  // namespace

SolverPool::SolverPool(Clock& clock, Log& log, const Processes& processes)
    : clock_(clock), log_(log), processes_(processes), passed_(take_passed_sockets()) {}

void SolverPool::see_holder_of(std::uint16_t port) {
  if (!port_holders_.contains(port)) port_holders_.emplace(port, port_holder(port));
}

std::shared_ptr<Solver> SolverPool::solver_for(const std::string& challenge, const CertificateSettings& settings) {
  if (challenge == "tls-alpn-01") return alpn_solver_at(settings.alpn_listen);
  if (challenge == "dns-01" && !settings.dns_hooks.empty()) return dns_hook_solver_for(settings);
  if (challenge == "dns-01") return dns_update_solver_for(settings);
  if (challenge == "dns-persist-01") return dns_persist_solver();
  if (settings.webroot) return webroot_solver_in(*settings.webroot);
  return http_solver_at(settings.http_listen);
}

std::shared_ptr<Solver> SolverPool::http_solver_at(const Endpoint& endpoint) {
  const std::string place = place_of("http-01", endpoint);
  std::shared_ptr<Solver>& solver = solvers_["http-01 at " + place];
  if (!solver) {
    const auto& listener = http_listeners_[place] = make_listener<Http01Listener>("http-01", endpoint);
    solver = std::make_shared<Http01Solver>(*listener);
  }
  return solver;
}

std::shared_ptr<Solver> SolverPool::alpn_solver_at(const Endpoint& endpoint) {
  const std::string place = place_of("tls-alpn-01", endpoint);
  std::shared_ptr<Solver>& solver = solvers_["tls-alpn-01 at " + place];
  if (!solver) {
    const auto& listener = alpn_listeners_[place] = make_listener<AlpnListener>("tls-alpn-01", endpoint);
    solver = std::make_shared<TlsAlpn01Solver>(*listener, clock_);
  }
  return solver;
}

template <class Listener>
std::shared_ptr<Listener> SolverPool::make_listener(const std::string& challenge, const Endpoint& endpoint) {
  std::vector<int> passed;
  for (PassedSocket& socket : passed_)
    if (socket.descriptor.valid() && is_for(socket, challenge, endpoint)) passed.push_back(socket.descriptor.release());
  if (passed.empty())
    return std::make_shared<Listener>(
        endpoint, [this](std::uint16_t port) { return describe_holder(port); }, log_);
  return std::make_shared<Listener>(passed, log_);
}

std::string SolverPool::describe_holder(std::uint16_t port) const {
  if (const std::optional<Process> seen = port_holder(port)) return describe(*seen);
  const auto known = port_holders_.find(port);
  if (known == port_holders_.end() || !known->second) return {};
  const std::optional<Process> now = processes_.find(known->second->pid);
  return now == known->second ? describe(*now) : "";
}

/// The same for those that share a listener.
std::string SolverPool::place_of(const std::string& challenge, const Endpoint& endpoint) const {
  std::string passed;
  for (std::size_t i = 0; i < passed_.size(); ++i)
    if (is_for(passed_[i], challenge, endpoint)) passed += " passed socket " + std::to_string(i);
  return passed.empty() ? endpoint.text() : passed;
}

Solvers SolverPool::all() const {
  Solvers all;
  for (const auto& [place, solver] : solvers_) all.push_back(solver);
  return all;
}

void SolverPool::warn_of_idle_sockets() {
  for (const PassedSocket& socket : passed_)
    if (socket.descriptor.valid())
      log_.warning("no challenge uses the socket that was passed in for port " + std::to_string(socket.port) +
                   ": name it with FileDescriptorName=http-01 or tls-alpn-01, or give that port with --http-listen or "
                   "--alpn-listen");
}

std::shared_ptr<Solver> SolverPool::webroot_solver_in(const std::filesystem::path& folder) {
  std::shared_ptr<Solver>& solver = solvers_["http-01 in " + folder.native()];
  if (!solver) solver = std::make_shared<WebrootSolver>(folder);
  return solver;
}

std::shared_ptr<Solver> SolverPool::dns_hook_solver_for(const CertificateSettings& settings) {
  auto made = std::make_shared<DnsHookSolver>(settings.dns_hooks, dns_hook_timeout, processes_, log_);
  std::shared_ptr<Solver>& solver = solvers_[made->describe()];
  if (!solver) solver = std::move(made);
  return solver;
}

std::shared_ptr<Solver> SolverPool::dns_update_solver_for(const CertificateSettings& settings) {
  std::optional<TsigKey> key;
  if (settings.dns_tsig_file) key = read_tsig_key(*settings.dns_tsig_file);
  UpdateServer primary(settings.dns_update.value(), std::move(key), system_resolver, clock_);
  std::shared_ptr<Solver>& solver = solvers_["dns-01 by " + primary.describe()];  // another for another key in the file
  if (solver) return solver;
  if (settings.dns_tsig_file)
    if (const std::optional<std::string> warning = exposed(settings.dns_tsig_file->native())) log_.warning(*warning);
  return solver = std::make_shared<DnsUpdateSolver>(std::move(primary), clock_, log_);
}

std::shared_ptr<Solver> SolverPool::dns_persist_solver() {
  std::shared_ptr<Solver>& solver = solvers_["dns-persist-01"];
  if (!solver) solver = std::make_shared<DnsPersistSolver>(system_resolver, clock_);
  return solver;
}

}  // namespace acme_agent
