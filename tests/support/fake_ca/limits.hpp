#pragma once

#include <map>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/identifier.hpp>

namespace acme_agent::test {

/// Let's Encrypt's limits (FakeCa::enforce_limits): counted always, refused only where they are enforced.
class Limits {
 public:
  explicit Limits(const Clock& clock) : clock_(clock) {}

  void enforce(bool enforced) { enforced_ = enforced; }
  int met() const { return met_; }

  /// Throws the Refusal of the first one that has no room for an order. `names` are sorted.
  void check_order(const std::string& account, const std::vector<Identifier>& names);

  void ordered(const std::string& account);
  void issued(const std::vector<Identifier>& names);
  void validation_failed(const std::string& account, const Identifier& name);

  void forget(TimePoint before);

 private:
  /// A bucket of tokens: so many at once, and one more each `refill`.
  struct Limit {
    int burst;
    Duration refill;
  };
  static const Limit orders_of_account;
  static const Limit failed_validations;
  static const Limit certificates_of_names;

  void check(const std::string& bucket, const Limit& limit, const std::string& what);
  void spend(const std::string& bucket, const Limit& limit);

  const Clock& clock_;
  bool enforced_ = false;
  int met_ = 0;
  std::map<std::string, TimePoint> full_at_;  ///< By the name of the bucket.
};

}  // namespace acme_agent::test
