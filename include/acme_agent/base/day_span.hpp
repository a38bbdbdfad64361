#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <acme_agent/base/clock.hpp>

namespace acme_agent {

/// A part of every day by local time; one that ends before it begins goes over midnight.
struct DaySpan {
  std::chrono::minutes begin{};
  std::chrono::minutes end{};  ///< No longer within.

  auto operator<=>(const DaySpan&) const = default;
};

/// Reads "03:00-04:00"; nothing if `text` is no such span, or an empty one.
std::optional<DaySpan> parse_day_span(std::string_view text);

/// "03:00-04:00".
std::string format_day_span(const DaySpan& span);

/// `now` if that is within the span, else when the next one begins. Where the clocks are put forward over its
/// beginning, that day has none.
TimePoint next_within(const DaySpan& span, TimePoint now);

}  // namespace acme_agent
