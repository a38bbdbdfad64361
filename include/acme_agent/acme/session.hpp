#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/acme/external_account.hpp>
#include <acme_agent/acme/resources.hpp>
#include <acme_agent/base/clock.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/private_key.hpp>
#include <acme_agent/net/transport.hpp>

namespace acme_agent {

/// RFC 8555 7.1.1. Throws Error if there is no ACME server at that URL: ask_operator if there is nothing, retry if what
/// is there is no directory.
Directory fetch_directory(Transport& transport, const Clock& clock, const std::string& url,
                          const std::stop_token& stop);

/// RFC 8555 spoken for one account on one server: one method for each request, no waiting and no policy. The directory
/// is fetched with the first request; nonces come from every response; a badNonce is answered with the nonce of the
/// error, again and again for 30 s at most (RFC 8555 6.5). For one thread at a time.
///
/// Every method throws ProblemError for a status that is no success (of an empty type if no problem document came with
/// it), Error for an answer that is none of RFC 8555's (retry), and what the transport throws. What the server sends is
/// bounded and checked: URLs must be https.
class Session {
 public:
  /// `account_url` is empty until new_account().
  Session(Transport& transport, const Clock& clock, std::string directory_url, PrivateKey account_key,
          std::string account_url);
  /// The same where the directory is known already.
  Session(Transport& transport, const Clock& clock, Directory directory, PrivateKey account_key,
          std::string account_url);

  /// "the server at " and its host, for a sentence.
  std::string server() const;

  /// As fetch_directory(), once.
  const Directory& directory(const std::stop_token& stop);

  /// Makes the account, or finds the one that this key has, agreeing to the terms of service. Returns its URL, which
  /// the other methods use from now on. `contact` is a mail address or empty (RFC 8555 7.3).
  std::string new_account(const std::string& contact, const std::stop_token& stop) {
    return new_account(contact, std::nullopt, stop);
  }
  /// The same, bound to an external account (RFC 8555 7.3.4). Throws Error (ask_operator) if the server wants a binding
  /// and there is none, or does not take this one.
  std::string new_account(const std::string& contact, const std::optional<ExternalAccount>& external,
                          const std::stop_token& stop);

  /// The URL of the account that this key has, which the other methods use from now on; nothing if the server knows
  /// none (RFC 8555 7.3.1).
  std::optional<std::string> find_account(const std::stop_token& stop);

  /// What the server knows of our account; its URL must be known.
  AccountInfo account(const std::stop_token& stop);
  /// RFC 8555 7.3.2
  AccountInfo set_contact(const std::string& contact, const std::stop_token& stop);
  /// Gives the account another key (RFC 8555 7.3.5), which signs from now on. After an Error that is no ProblemError
  /// nobody knows which of the two is the account's.
  void change_key(const PrivateKey& fresh, const std::stop_token& stop);
  /// Ends the account for good (RFC 8555 7.3.6).
  void deactivate(const std::stop_token& stop);

  /// Revokes a certificate (RFC 8555 7.6), for a reason of RFC 5280 5.3.1 if there is one; signed by the account if its
  /// URL is known, else by our key, which must be the certificate's. One that is revoked already is no error.
  void revoke(const Certificate& certificate, std::optional<int> reason, const std::stop_token& stop);

  /// `replaces` only for a server whose directory has a `renewal_info`, `profile` only if its directory has it. Throws
  /// Error if the order that comes back is for other names (retry) or of another profile (ask_operator).
  Order new_order(const OrderTerms& terms, const std::stop_token& stop);
  Polled<Order> order(const std::string& url, const std::stop_token& stop);
  Authorization authorization(const std::string& url, const std::stop_token& stop);

  /// Tells the server that the challenge can be validated (RFC 8555 7.5.1). Throws Error (retry) if the answer is that
  /// to another request, as the server may never have heard of it.
  void respond(const Challenge& challenge, const std::stop_token& stop);

  /// Empty before there is one.
  const std::string& account_url() const { return account_url_; }

  /// token "." thumbprint of the account key (RFC 8555 8.1).
  std::string key_authorization(const Challenge& challenge) const;

  Polled<Order> finalize(const Order& order, std::string_view csr_der, const std::stop_token& stop);

  /// Of the chains that the server offers for a valid order the first that is wanted, else its default one, which comes
  /// first (RFC 8555 7.4.2). Empty: whatever comes first.
  CertificateChain download(const Order& order, const std::function<bool(const CertificateChain&)>& wanted,
                            const std::stop_token& stop);

 private:
  /// Signed by the account `kid`, or by the bare key if that is empty; an empty payload is a POST-as-GET.
  Response post(const std::string& url, const std::string& payload, const std::string& kid,
                const std::stop_token& stop);
  std::string take_nonce(const std::stop_token& stop);
  void keep_nonce(const Response& response);

  Transport& transport_;
  const Clock& clock_;
  const std::string directory_url_;
  PrivateKey account_key_;
  std::string account_url_;
  std::optional<Directory> directory_;
  std::string nonce_;  ///< Unused so far; empty if there is none.
};

}  // namespace acme_agent
