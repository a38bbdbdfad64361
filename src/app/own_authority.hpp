#pragma once

#include <memory>

#include <acme_agent/agent/managed.hpp>
#include <acme_agent/authority/authority.hpp>
#include <acme_agent/base/log.hpp>
#include <acme_agent/broker/client_files.hpp>

namespace acme_agent {

/// Issues for `--server local` with the authority in `folder`, which is made when it is needed first.
OwnAuthority issue_with(const std::filesystem::path& folder, const AuthorityTerms& terms, Log& log);

/// What brokers need to know the devices of the authority in `folder`, as soon as there is one. Says once a day which
/// of them need new certificates soon.
std::shared_ptr<ClientAuthority> clients_of(const std::filesystem::path& folder, const AuthorityTerms& terms, Log& log);

}  // namespace acme_agent
