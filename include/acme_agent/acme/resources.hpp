#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/identifier.hpp>
#include <acme_agent/base/window.hpp>

namespace acme_agent {

/// The states of orders, authorizations and challenges (RFC 8555 7.1.6).
enum class Status { pending, processing, ready, valid, invalid, deactivated, expired, revoked };

/// A problem document (RFC 9457) as ACME uses it (RFC 8555 6.7).
struct Problem {
  struct Sub {
    std::string type;
    std::string detail;
    std::optional<Identifier> identifier;
  };

  /// Without "urn:ietf:params:acme:error:"; whole if it starts otherwise; empty if the server gave none.
  std::string type;
  std::string detail;
  int status = 0;
  std::string instance;          ///< A page for people (RFC 8555 7.3.3); empty if none.
  std::vector<Sub> subproblems;  ///< RFC 8555 6.7.1
  std::string server;            ///< The host that sent it.

  /// The server takes no orders of this account for these names until somebody has visited a page of it (RFC 8555 has
  /// no word for that; Let's Encrypt pauses who has failed for a long time).
  bool paused() const;

  /// One sentence: what the server says, with each subproblem and its name, and what to do where that is known;
  /// `challenge` is the type of the one that has failed, if it is about one.
  std::string sentence(std::string_view challenge = "") const;
};

/// A server refused a request. Its remedy follows from the type of the problem, its not_before from Retry-After (of a
/// rate limit, also from its text).
class ProblemError final : public Error {
 public:
  ProblemError(Problem problem, std::optional<TimePoint> retry_after);

  const Problem& problem() const { return problem_; }

 private:
  Problem problem_;
};

/// RFC 8555 7.1.1
struct Directory {
  std::string url;
  std::string new_nonce;
  std::string new_account;
  std::string new_order;
  std::string revoke_cert;       ///< Empty if the server does not say where.
  std::string key_change;        ///< Empty if the server does not say where.
  std::string renewal_info;      ///< RFC 9773 4; empty if the server gives no such advice.
  std::string terms_of_service;  ///< For people: any kind of URL; empty if none.
  bool external_account_required = false;
  std::vector<std::string> profiles;          ///< Names of those that it issues by.
  std::vector<std::string> caa_identities{};  ///< What the server calls itself in CAA records; at most ten.
  std::optional<TimePoint> date;              ///< What the server's clock said when it answered.
};

/// RFC 8555 7.1.2
struct AccountInfo {
  Status status = Status::valid;
  std::vector<std::string> contact;  ///< URLs, for people.
  std::optional<TimePoint> created;  ///< Where the server says so.
};

/// RFC 9773 4.2
struct RenewalInfo {
  Window suggested;
  std::string explanation_url;  ///< Why, for people; empty if none.
};

/// RFC 8555 7.1.5, 8. A challenge with neither a token nor issuers is not to be used: it has none, or some that no
/// file name, URL or zone may contain, or something else is wrong with it.
struct Challenge {
  std::string type;
  std::string url;
  Status status = Status::pending;
  std::string token;                               ///< Characters of base64url only, 1 to 128 of them; or empty.
  std::vector<std::string> issuer_domain_names{};  ///< Of dns-persist-01, as CAA records have them: at most ten.
  std::optional<Problem> error;
};

/// RFC 8555 7.1.4
struct Authorization {
  std::string url;
  Identifier identifier;  ///< With its "*." if it is for a wildcard.
  Status status = Status::pending;
  std::vector<Challenge> challenges;
};

/// What a new order asks for.
struct OrderTerms {
  std::vector<Identifier> identifiers = {};
  std::string replaces = {};  ///< renewal_info_id() of the certificate that the new one is for (RFC 9773 5), or empty.
  std::string profile = {};   ///< Empty: the server's default.
};

/// RFC 8555 7.1.3
struct Order {
  std::string url;
  Status status = Status::pending;
  std::vector<Identifier> identifiers;
  std::vector<std::string> authorizations;  ///< URLs, in no order.
  std::string finalize;
  std::string certificate;  ///< URL; empty unless valid.
  std::string profile;      ///< Empty: the server does not say.
  std::optional<Problem> error;
};

/// Something to be asked for again, not before `retry_after` if the server named a moment.
template <class T>
struct Polled {
  T value;
  std::optional<TimePoint> retry_after;
};

}  // namespace acme_agent
