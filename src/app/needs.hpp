#pragma once

#include <vector>

#include <acme_agent/config/configuration.hpp>
#include <acme_agent/store/state.hpp>
#include <acme_agent/sys/confinement.hpp>

namespace acme_agent {

/// What looking after the certificates takes: it may change with the configuration.
Needs needs_of_certificates(const Configuration& configuration);

/// What the process takes besides, for as long as it lives.
void add_needs_of_process(const Configuration& configuration, const StateFolder& state, Needs& needs);

/// Where the challenges of a certificate are answered by listeners of ours.
std::vector<Endpoint> listeners_of(const CertificateSettings& settings);

}  // namespace acme_agent
