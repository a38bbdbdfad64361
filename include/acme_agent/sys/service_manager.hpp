#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace acme_agent {

/// Tells the service manager (sd_notify(3): "READY=1", "STATUS=…", several lines at once); nothing happens without one.
/// The protocol is one datagram: not worth a library.
void notify_service_manager(std::string_view state) noexcept;

/// How often the service manager wants to hear "WATCHDOG=1" (sd_watchdog_enabled(3)); nothing if it does not watch us.
std::optional<std::chrono::microseconds> watchdog_time() noexcept;

}  // namespace acme_agent
