#pragma once

#include <optional>
#include <string_view>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {

/// When a certificate is to be renewed: with a third of its lifetime left, or half if it lives less than ten days.
/// `spread` from 0 to 1 makes it up to 2 % of the lifetime earlier, so that certificates of one age do not ask at once.
TimePoint plan_renewal(const Validity& validity, double spread);

/// From 0 to 1, always the same for the same name.
double spread_of(std::string_view name);

/// How long to wait after the `failures`th failure in a row (1 is the first): 1, 10, 100 minutes, then 24 hours, the
/// ladder of Let's Encrypt's integration guide. Where `validity` is known no step is longer than a tenth of the
/// lifetime, and before expiry none is longer than half of what is left (but at least 10 minutes or a hundredth of the
/// lifetime).
Duration wait_after_failure(int failures, const std::optional<Validity>& validity, TimePoint now);

/// How long until a deployment is looked at again: while the broker is away 1 s doubling to 8 s, so that it is served
/// within 10 s once it is there; where an operator is needed 10 s doubling to 10 minutes.
Duration wait_after_deployment(int failures, bool operator_needed);

}  // namespace acme_agent
