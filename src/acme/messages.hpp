#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/acme/external_account.hpp>
#include <acme_agent/acme/resources.hpp>
#include <acme_agent/crypto/private_key.hpp>

namespace acme_agent {

// What is read: `url` is where `body` came from. Fields that we do not know are left aside; throws Error (retry) that
// names the server if a field that we need is missing or wrong, or if the text is absurdly large or deep.

Directory read_directory(const std::string& body, const std::string& url);
AccountInfo read_account(const std::string& body, const std::string& url);
Order read_order(const std::string& body, const std::string& url);
Authorization read_authorization(const std::string& body, const std::string& url);
/// Throws if this is about something else than a challenge of this type, so that the request for it went astray; what
/// cannot be read is let pass, as nothing in it is needed.
void refuse_other_than_challenge(const std::string& body, const std::string& url, const std::string& type);

/// Its faults are the server's to mend: Remedy::ask_operator.
RenewalInfo read_renewal_info(const std::string& body, const std::string& url);

/// Nothing if `body` is no problem document.
std::optional<Problem> read_problem(const std::string& body);

/// An https URL of printable ASCII, shorter than 2048 bytes.
bool is_usable_url(std::string_view url);

/// The host, with its port if it has one, for messages.
std::string host_of(const std::string& url);

// What is written.

/// `binding`: from account_binding(); empty: none.
std::string new_account_payload(const std::string& contact, const std::string& binding);
/// A JWS that binds the account `key` to an external account (RFC 8555 7.3.4).
std::string account_binding(const ExternalAccount& external, const PrivateKey& key, const std::string& new_account_url);
std::string contact_payload(const std::string& contact);
/// The inner JWS of a key change (RFC 8555 7.3.5).
std::string key_change_payload(const PrivateKey& fresh, const PrivateKey& old, const std::string& account_url,
                               const std::string& url);
std::string revocation_payload(std::string_view certificate_der, std::optional<int> reason);
std::string new_order_payload(const OrderTerms& terms);
std::string finalize_payload(std::string_view csr_der);

/// The body of a POST: a flattened JWS (RFC 8555 6.2), by `account_url` if there is one, else by the key itself.
std::string signed_request(const PrivateKey& key, const std::string& account_url, const std::string& nonce,
                           const std::string& url, const std::string& payload);

}  // namespace acme_agent
