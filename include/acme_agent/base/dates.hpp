#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <acme_agent/base/clock.hpp>

namespace acme_agent {

/// "2026-11-22T10:00:00Z" (RFC 3339, whole seconds, rounded down).
std::string format_rfc3339(TimePoint time);

/// Reads RFC 3339 with any offset and fraction (kept to the millisecond); nothing if `text` is not such a date.
std::optional<TimePoint> parse_rfc3339(std::string_view text);

/// Reads an HTTP date in any of the three forms of RFC 9110 5.6.7; `now` tells the century of the oldest. Nothing if
/// `text` is none.
std::optional<TimePoint> parse_http_date(std::string_view text, TimePoint now);

/// Reads the value of a Retry-After header (RFC 9110 10.2.3): seconds from `now`, or an HTTP date. Nothing if it is
/// neither. Absurdly large counts of seconds end at `now` + 10 years.
std::optional<TimePoint> parse_retry_after(std::string_view text, TimePoint now);

/// "3 days", "90 minutes", "12 seconds": the two largest units at most, for people.
std::string describe(Duration duration);

/// "10s", "500ms", "2m", "1h", "3d" or a bare count of seconds; nothing if `text` is none of them or negative.
std::optional<Duration> parse_duration(std::string_view text);

}  // namespace acme_agent
