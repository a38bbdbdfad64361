#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <acme_agent/acme/session.hpp>
#include <acme_agent/base/clock.hpp>
#include <acme_agent/challenge/solver.hpp>
#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {

/// The server could not validate some of the names.
class ValidationError final : public Error {
 public:
  ValidationError(std::string message, std::vector<Identifier> names)
      : Error(Remedy::retry, std::move(message)), names_(std::move(names)) {}

  const std::vector<Identifier>& names() const { return names_; }

 private:
  std::vector<Identifier> names_;
};

struct IssueRequest {
  std::vector<Identifier> identifiers;
  std::string pending_order;  ///< URL of an order of an earlier run to go on with; empty: none.
  std::string replaces = {};  ///< renewal_info_id() of the certificate before; empty: none, or not to be told.
  std::string profile = {};   ///< Asked for where the server has profiles; empty: its default.
  std::string csr = {};       ///< Signing request for the key, in DER; empty: one is made.

  /// As Session::download() takes it.
  std::function<bool(const CertificateChain&)> wanted = {};

  /// Called before finalize with the order's URL: gives the key to certify after storing both for the next run. With
  /// `refused` the server did not want the key that was given before.
  std::function<PrivateKey(const std::string& order_url, bool refused)> key;

  /// Called with each failed validation: whether a new order may be placed at once. With `another_way` there is another
  /// solver for all the names that failed; else the answer does not matter.
  std::function<bool(const ValidationError& failed, bool another_way)> validation_failed;

  /// Called at each step, for who watches.
  std::function<void(std::string_view step)> progress;
};

/// Takes one order from newOrder to download (RFC 8555 7.4); what comes back is not checked yet. Each name is proven by
/// the first of `solvers` for which the server offers a challenge and that can show an answer; where the server could
/// not validate it so, a new order tries the next one, with at most as many orders as there are solvers. Answers are
/// down again before the order is finalized. Validation and issuance may take 5 minutes each. A pending order that the
/// server no longer knows, or that failed, is replaced by a new one. A server that does not take `replaces`, for
/// whatever reason, is asked once more without it (RFC 9773 5). Throws ValidationError, and what Session throws.
CertifiedKey issue(Session& session, const Solvers& solvers, Clock& clock, IssueRequest request,
                   const std::stop_token& stop);

}  // namespace acme_agent
