#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/identifier.hpp>

namespace acme_agent {

/// What a challenge asks to be shown (RFC 8555 8).
struct ChallengeAnswer {
  Identifier identifier;
  std::string token;
  std::string key_authorization;
  std::vector<Identifier> together = {};  ///< All names that are answered for in this way, this one included.
  std::size_t remaining = 0;              ///< How many of them come after this one.
  std::vector<std::string> issuers = {};  ///< Of dns-persist-01: what the server is called there.
  std::string account_url = {};
};

/// An answer that the server can see; destroying it withdraws the answer.
class Presentation {
 public:
  virtual ~Presentation() = default;

  /// Waits until whoever looks can see it, as far as that takes time and can be known. Throws Stopped.
  virtual void await_shown(const std::stop_token& /*stop*/) const {}

  /// How often somebody has come to see it; always 0 where that cannot be known.
  virtual unsigned visits() const { return 0; }

  /// Waits until there were more than `seen` visits; false after `timeout`, and at once where that cannot be known.
  /// Throws Stopped.
  virtual bool wait_for_visit(unsigned /*seen*/, Duration /*timeout*/, const std::stop_token& /*stop*/) const {
    return false;
  }
};

/// One way to answer a type of challenge. Safe from every thread.
class Solver {
 public:
  virtual ~Solver() = default;

  /// "http-01", …
  virtual std::string type() const = 0;

  /// Type and settings in a few words, which are the same for the same settings.
  virtual std::string describe() const { return type(); }

  /// Something stands elsewhere that would stay there if this process ended now.
  virtual bool has_to_clean_up() const { return false; }

  /// Throws Error if the answer cannot be shown.
  virtual std::unique_ptr<Presentation> present(const ChallengeAnswer& answer, const std::stop_token& stop) = 0;
};

/// In the order in which they are tried.
using Solvers = std::vector<std::shared_ptr<Solver>>;

}  // namespace acme_agent
