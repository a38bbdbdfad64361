#pragma once

#include <stop_token>
#include <string>

#include <acme_agent/acme/resources.hpp>
#include <acme_agent/base/clock.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/net/transport.hpp>

namespace acme_agent {

/// What a server calls this certificate where its renewal is concerned (RFC 9773 4.1); empty for a certificate without
/// an authority key identifier, which has no such name.
std::string renewal_info_id(const Certificate& certificate);

/// Asks when the certificate of this name had best be renewed (RFC 9773 4.2); not signed, so without an account. The
/// directory must have a `renewal_info`. Throws ProblemError for a status that is no success, Error (ask_operator) for
/// an answer that is no renewal information or whose window ends before it starts, and what the transport throws.
Polled<RenewalInfo> fetch_renewal_info(Transport& transport, const Clock& clock, const Directory& directory,
                                       const std::string& id, const std::stop_token& stop);

}  // namespace acme_agent
