#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

#include <acme_agent/sys/processes.hpp>

namespace acme_agent {

/// The group that the broker's files get where the operator named none: that of the process that reads them, else
/// `mosquitto`, each only if `self` may give it; else nothing: our own.
std::optional<gid_t> reader_group(const std::vector<Process>& readers, std::optional<gid_t> mosquitto,
                                  const Process& self);

/// The group called mosquitto, if this machine has one.
std::optional<gid_t> mosquitto_group();

/// This process.
Process own_process();

}  // namespace acme_agent
