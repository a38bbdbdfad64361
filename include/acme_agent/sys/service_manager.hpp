#pragma once

#include <string_view>

namespace acme_agent {

/// Tells the service manager (sd_notify(3): "READY=1", "STATUS=…", several lines at once); nothing happens without one.
/// The protocol is one datagram: not worth a library.
void notify_service_manager(std::string_view state) noexcept;

}  // namespace acme_agent
