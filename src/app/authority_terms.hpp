#pragma once

#include <filesystem>

#include <acme_agent/authority/authority.hpp>
#include <acme_agent/config/configuration.hpp>
#include <acme_agent/store/state.hpp>

namespace acme_agent {

/// What the configuration says of the authority on this machine. Its passphrase throws Error (ask_operator) where
/// the file of --ca-passphrase-file cannot be read.
AuthorityTerms authority_terms(const Configuration& configuration);

/// Where it lies.
std::filesystem::path authority_in(const StateFolder& state);

}  // namespace acme_agent
