#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <acme_agent/agent/managed.hpp>
#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/window.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/store/state.hpp>

namespace acme_agent {

// When and why something is to be done. All of it is pure: no clock, no files, nothing drawn that is not drawn alike
// the next time.

/// When a certificate is to be renewed if nobody advises: with a third of its lifetime left, or half if it lives less
/// than ten days. `spread` from 0 to 1 makes it up to 2 % of the lifetime earlier, so that certificates of one age do
/// not ask at once. In whole seconds.
TimePoint plan_renewal(const Validity& validity, double spread);

/// From 0 to 1, always the same for the same text, and uniform over texts.
double spread_of(std::string_view text);

/// The moment in the suggested window for this certificate (RFC 9773 4.2): uniform over certificates, the same for the
/// same window however often it is asked for. In whole seconds.
TimePoint choose_moment(const Window& suggested, std::string_view renewal_info_id);

/// Whether a server that had left the held certificate some time takes that back now, as after a mass revocation: then
/// the new window is followed although the certificate is a new one. One that does so again within the next day (or a
/// tenth of the lifetime) is not followed at once, as it may do so with each certificate.
bool is_recall(const Record& record, const Window& suggested, TimePoint now);

/// The last moment to begin a renewal, whatever a server suggests: a tenth of the lifetime before the end.
TimePoint latest_renewal(const Validity& validity);

/// Little is left: more than half of the time that was meant for renewing is over, or there is nothing to serve.
bool is_urgent(const std::optional<Validity>& validity, TimePoint now);

/// How long to wait after a failure, by the step of the ladder: 1, 10, 100 minutes, then 24 hours, as Let's Encrypt's
/// integration guide has it. Where `validity` is known no step is longer than a tenth of the lifetime, and before
/// expiry none is longer than half of what is left (but at least 10 minutes or a hundredth of the lifetime).
Duration wait_after_failure(int step, const std::optional<Validity>& validity, TimePoint now);
constexpr int last_step = 4;

/// How long until the server is asked for its advice again after it could not be had (RFC 9773 4.3): a temporary
/// failure 1 minute and four times as long each time, 6 hours at most; any other 6 hours.
Duration wait_for_advice(int failures, bool temporary);

/// How long until a deployment is looked at again: while the broker is away 1 s doubling to 8 s, so that it is served
/// within 10 s once it is there; where an operator is needed 10 s doubling to 10 minutes.
Duration wait_after_deployment(int failures, bool operator_needed);

/// When, why and from which server the next certificate is to be ordered, if no order is under way (that one is due at
/// once).
struct Due {
  TimePoint when;
  Reason reason = Reason::missing;
  const AcmeServer* server = nullptr;
};

/// The first server is asked, and the next one once that has failed three times, or once where it is urgent; when all
/// have failed, the one that may be asked first. What our own authority issued while it stood in is due at the first
/// server at once. Dates in the record that lie further ahead than any of ours were written by a clock that was wrong,
/// and do not count.
Due next_order(const Managed& managed, const Record& record, TimePoint now);

/// From when our own authority may stand in for a server that is preferred: with a thirtieth of the lifetime left, as
/// clients that do not know it refuse what it issues; what it issued itself is renewed by share of the lifetime.
TimePoint stand_in_from(const Managed& managed, const HeldFacts& held);

/// What the failures in a record were for: servers, challenges, profile, key and names. Others start afresh.
std::string inputs_of(const Managed& managed);

/// Held, of the names, a server with its chain and the key or the kind of key that are wanted now.
bool as_wanted(const Managed& managed, const HeldFacts& held);

/// How we stand with this server.
Standing standing_with(const AcmeServer& server, const Record& record);

/// Why this machine's clock cannot be right, in a clause; nothing if nothing speaks against it. `built`: when the
/// program was; `last_known`: the latest moment that it has seen; `held`: when the held certificate begins.
std::optional<std::string> why_clock_is_wrong(TimePoint now, TimePoint built,
                                              const std::optional<TimePoint>& last_known,
                                              const std::optional<TimePoint>& held);

/// The same by the clock of a server: up to an hour behind it and a day ahead of it do no harm.
std::optional<std::string> why_clock_is_wrong(TimePoint now, TimePoint server);

}  // namespace acme_agent
