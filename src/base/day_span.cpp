#include <time.h>

#include <cstdio>

#include <acme_agent/base/day_span.hpp>

namespace acme_agent {
namespace {

using namespace std::chrono;

tm local(TimePoint time) {
  const time_t seconds = static_cast<time_t>(floor<std::chrono::seconds>(time.time_since_epoch()).count());
  tm result{};
  ::localtime_r(&seconds, &result);
  return result;
}

minutes time_of_day(TimePoint time) {
  const tm there = local(time);
  return hours(there.tm_hour) + minutes(there.tm_min);
}

bool is_within(const DaySpan& span, TimePoint time) {
  const minutes at = time_of_day(time);
  if (span.begin < span.end) return at >= span.begin && at < span.end;
  return at >= span.begin || at < span.end;
}

}  // namespace

std::optional<DaySpan> parse_day_span(std::string_view text) {
  int from_hour = 0, from_minute = 0, to_hour = 0, to_minute = 0, length = 0;
  const std::string copy(text);
  const bool shaped =
      std::sscanf(copy.c_str(), "%2d:%2d-%2d:%2d%n", &from_hour, &from_minute, &to_hour, &to_minute, &length) == 4 &&
      copy.find_first_not_of("0123456789:-") == std::string::npos && static_cast<std::size_t>(length) == copy.size();
  if (!shaped || from_hour < 0 || from_hour > 23 || from_minute < 0 || from_minute > 59 || to_hour < 0 ||
      to_hour > 23 || to_minute < 0 || to_minute > 59)
    return std::nullopt;
  const DaySpan span{hours(from_hour) + minutes(from_minute), hours(to_hour) + minutes(to_minute)};
  if (span.begin == span.end) return std::nullopt;
  return span;
}

std::string format_day_span(const DaySpan& span) {
  char text[sizeof "03:00-04:00"];
  const auto part = [](minutes time, auto unit) { return static_cast<unsigned>(time.count() / unit % 60); };
  std::snprintf(text, sizeof text, "%02u:%02u-%02u:%02u", part(span.begin, 60), part(span.begin, 1), part(span.end, 60),
                part(span.end, 1));
  return text;
}

TimePoint next_within(const DaySpan& span, TimePoint now) {
  ::tzset();  // the operator may have moved
  if (is_within(span, now)) return now;
  constexpr int enough = 7;
  for (int days = 0; days < enough; ++days) {
    tm begin = local(now);
    begin.tm_mday += days;
    begin.tm_hour = static_cast<int>(span.begin / hours(1));
    begin.tm_min = static_cast<int>(span.begin.count() % 60);
    begin.tm_sec = 0;
    begin.tm_isdst = -1;
    const TimePoint at{seconds(::mktime(&begin))};
    if (at > now && is_within(span, at)) return at;
  }
  return now + hours(24);  // beyond what time_t can say
}

}  // namespace acme_agent
