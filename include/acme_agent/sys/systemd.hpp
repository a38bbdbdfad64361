#pragma once

#include <sys/types.h>

#include <stop_token>
#include <string>

#include <acme_agent/base/clock.hpp>

namespace acme_agent {

/// Asks systemd over the system bus to reload a service ("mosquitto.service"), and waits until that is done. Throws
/// Error: retry if the service does not run or the reload ends otherwise, ask_operator if it has no way to reload,
/// fails to, or we may not ask for it; and Stopped.
void reload_service(const std::string& unit, Duration timeout, const std::stop_token& stop);

/// Asks systemd to restart a service, and waits until that is done. Throws as reload_service().
void restart_service(const std::string& unit, Duration timeout, const std::stop_token& stop);

/// The pid of its main process by systemd's own view; 0 if it does not run. Throws as reload_service().
pid_t main_pid_of_service(const std::string& unit, Duration timeout, const std::stop_token& stop);

}  // namespace acme_agent
