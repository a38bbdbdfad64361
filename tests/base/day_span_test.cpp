#include <doctest/doctest.h>
#include <stdlib.h>

#include <string>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/day_span.hpp>

namespace acme_agent::test {
namespace {

/// The rules of a time zone, as tzset(3) reads them, for one test.
struct Zone {
  explicit Zone(const char* rules) { ::setenv("TZ", rules, 1); }
  ~Zone() {
    ::unsetenv("TZ");
    ::tzset();
  }
};

constexpr const char* berlin = "CET-1CEST,M3.5.0,M10.5.0/3";

std::string next(const char* span, const char* now) {
  return format_rfc3339(next_within(*parse_day_span(span), *parse_rfc3339(now)));
}

TEST_CASE("a span of the day is two times that differ") {
  for (const char* good : {"03:00-04:00", "23:30-00:30", "00:00-23:59"})
    CHECK(format_day_span(parse_day_span(good).value_or(DaySpan{})) == good);
  CHECK(parse_day_span("3:00-4:00") == parse_day_span("03:00-04:00"));
  for (const char* bad : {"", "03:00", "03:00-", "03:00-03:00", "24:00-01:00", "03:60-04:00", "-3:00-04:00",
                          "03:00-04:00x", "03:00 - 04:00", "+3:00-04:00", "03:00-04:000", "03-04", "a"})
    CHECK_MESSAGE(!parse_day_span(bad), bad);
}

TEST_CASE("its first minute is within, the minute at which it ends is not") {
  const Zone zone("UTC0");
  CHECK(next("03:00-04:00", "2026-11-23T02:59:59Z") == "2026-11-23T03:00:00Z");
  CHECK(next("03:00-04:00", "2026-11-23T03:00:00Z") == "2026-11-23T03:00:00Z");
  CHECK(next("03:00-04:00", "2026-11-23T03:59:59Z") == "2026-11-23T03:59:59Z");
  CHECK(next("03:00-04:00", "2026-11-23T04:00:00Z") == "2026-11-24T03:00:00Z");
  CHECK(next("03:00-04:00", "2026-12-31T12:00:00Z") == "2027-01-01T03:00:00Z");
}

TEST_CASE("one that goes over midnight is one span") {
  const Zone zone("UTC0");
  CHECK(next("23:30-00:30", "2026-11-23T23:40:00Z") == "2026-11-23T23:40:00Z");
  CHECK(next("23:30-00:30", "2026-11-24T00:29:00Z") == "2026-11-24T00:29:00Z");
  CHECK(next("23:30-00:30", "2026-11-24T00:30:00Z") == "2026-11-24T23:30:00Z");
}

TEST_CASE("it is the clock on the wall that counts, in summer and in winter") {
  const Zone zone(berlin);
  CHECK(next("03:30-04:00", "2026-11-23T00:00:00Z") == "2026-11-23T02:30:00Z");
  CHECK(next("03:30-04:00", "2026-07-01T00:00:00Z") == "2026-07-01T01:30:00Z");
  CHECK(next("03:30-04:00", "2027-03-27T12:00:00Z") == "2027-03-28T01:30:00Z");  // the first of summer
  CHECK(next("03:30-04:00", "2026-10-24T12:00:00Z") == "2026-10-25T02:30:00Z");  // the first of winter
}

TEST_CASE("a span that the clocks are put forward over is waited for until the next day") {
  const Zone zone(berlin);
  CHECK(next("02:10-02:40", "2027-03-27T12:00:00Z") == "2027-03-29T00:10:00Z");
  CHECK(next("02:10-02:40", "2027-03-28T00:59:59Z") == "2027-03-29T00:10:00Z");
  CHECK(next("02:30-03:30", "2027-03-28T01:10:00Z") == "2027-03-28T01:10:00Z");  // what is left of it: 03:10
}

}  // namespace
}  // namespace acme_agent::test
