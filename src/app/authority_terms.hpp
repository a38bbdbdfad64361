#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/authority/authority.hpp>
#include <acme_agent/config/configuration.hpp>
#include <acme_agent/store/state.hpp>

namespace acme_agent {

/// What the configuration says of the authority on this machine. Its passphrase throws Error (ask_operator) where
/// the file of --ca-passphrase-file cannot be read.
AuthorityTerms authority_terms(const Configuration& configuration);

/// Where it lies.
std::filesystem::path authority_in(const StateFolder& state);

/// What to tell where the configuration says other things of it than it was made with.
std::optional<std::string> contradiction(const Configuration& configuration, const Authority& authority);

/// The words of `ca init` for what it was made for: "every name", "lan only".
std::string describe(const std::vector<NameConstraint>& constraints);

}  // namespace acme_agent
