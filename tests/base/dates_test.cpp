#include <doctest/doctest.h>

#include <acme_agent/base/dates.hpp>

using namespace acme_agent;
using namespace std::chrono;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint noon = sys_days{2026y / 11 / 22} + 12h;

}  // namespace

TEST_CASE("a date is written in whole seconds, rounded down, before 1970 as well") {
  CHECK(format_rfc3339(noon + 999ms) == "2026-11-22T12:00:00Z");
  CHECK(format_rfc3339(TimePoint{-1ms}) == "1969-12-31T23:59:59Z");
  CHECK(format_rfc3339(sys_days{9999y / 12 / 31} + 23h + 59min + 59s) == "9999-12-31T23:59:59Z");
}

TEST_CASE("a date is read with any offset and fraction") {
  CHECK(parse_rfc3339("2026-11-22T12:00:00Z") == noon);
  CHECK(parse_rfc3339("2026-11-22t12:00:00z") == noon);
  CHECK(parse_rfc3339("2026-11-22T14:30:00+02:30") == noon);
  CHECK(parse_rfc3339("2026-11-21T23:00:00-13:00") == noon);
  CHECK(parse_rfc3339("2026-11-22T12:00:00.5Z") == noon + 500ms);
  CHECK(parse_rfc3339("2026-11-22T12:00:00.123456789Z") == noon + 123ms);
  CHECK(parse_rfc3339("2026-11-22T12:00:00.001999999999999999999999+00:00") == noon + 1ms);
  CHECK(parse_rfc3339("2024-02-29T00:00:00Z") == sys_days{2024y / 2 / 29});
  CHECK(parse_rfc3339("2016-12-31T23:59:60Z") == sys_days{2017y / 1 / 1});
}

TEST_CASE("what is not a date of RFC 3339 is not taken for one") {
  for (const char* text : {"",
                           "2026-11-22",
                           "2026-11-22T12:00:00",
                           "2026-11-22T12:00Z",
                           "2026-13-01T00:00:00Z",
                           "2026-00-01T00:00:00Z",
                           "2026-02-29T00:00:00Z",
                           "2026-11-31T00:00:00Z",
                           "2026-11-22T24:00:00Z",
                           "2026-11-22T12:60:00Z",
                           "2026-11-22T12:00:61Z",
                           "2026-11-22T12:00:00.Z",
                           "2026-11-22T12:00:00.5",
                           "2026-11-22T12:00:00+2",
                           "2026-11-22T12:00:00+24:00",
                           "2026-11-22T12:00:00+00:60",
                           "2026-11-22T12:00:00ZZ",
                           " 2026-11-22T12:00:00Z",
                           "+026-11-22T12:00:00Z",
                           "2026-11-22T12:00:00.1.2Z",
                           "2026-11-22T-1:00:00Z"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_rfc3339(text));
  }
}

TEST_CASE("every written date reads back as itself") {
  for (TimePoint time = sys_days{1950y / 1 / 1}; time < sys_days{2150y / 1 / 1}; time += 1234567s) {
    CHECK(parse_rfc3339(format_rfc3339(time)) == time);
  }
}

TEST_CASE("Retry-After counts seconds from now, and never for longer than ten years") {
  CHECK(parse_retry_after("0", noon) == noon);
  CHECK(parse_retry_after(" 120 ", noon) == noon + 120s);
  CHECK(parse_retry_after("99999999999999999999999999999", noon) == noon + days{3650});
}

TEST_CASE("Retry-After takes the three forms of an HTTP date") {
  const TimePoint expected = sys_days{1994y / 11 / 6} + 8h + 49min + 37s;
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", noon) == expected);
  CHECK(parse_retry_after("Sunday, 06-Nov-94 08:49:37 GMT", noon) == expected);
  CHECK(parse_retry_after("Sun Nov  6 08:49:37 1994", noon) == expected);
  CHECK(parse_retry_after("Wed Nov 16 08:49:37 1994", noon) == expected + days{10});
}

TEST_CASE("a year of two digits lies at most fifty years ahead") {
  CHECK(parse_retry_after("Sunday, 22-Nov-26 12:00:00 GMT", noon) == noon);
  CHECK(parse_retry_after("Sunday, 01-Jan-76 00:00:00 GMT", noon) == sys_days{2076y / 1 / 1});
  CHECK(parse_retry_after("Sunday, 01-Jan-77 00:00:00 GMT", noon) == sys_days{1977y / 1 / 1});
  CHECK(parse_retry_after("Sunday, 01-Jan-00 00:00:00 GMT", noon) == sys_days{2000y / 1 / 1});
}

TEST_CASE("a Retry-After that means nothing is nothing") {
  for (const char* text :
       {"", "-1", "+5", "1.5", "soon", "5 s", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET",
        "Xxx, 06 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun Nov 6 08:49:37 1994"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_retry_after(text, noon));
  }
}

TEST_CASE("a span is told in at most two units") {
  CHECK(describe(days{3}) == "3 days");
  CHECK(describe(days{3} + 4h + 5min) == "3 days 4 hours");
  CHECK(describe(days{3} + 5min) == "3 days");
  CHECK(describe(90min) == "90 minutes");
  CHECK(describe(60min) == "1 hour");
  CHECK(describe(12s) == "12 seconds");
  CHECK(describe(12345ms) == "12 seconds");
  CHECK(describe(1s) == "1 second");
  CHECK(describe(250ms) == "250 milliseconds");
  CHECK(describe(1ms) == "1 millisecond");
  CHECK(describe(121s) == "2 minutes 1 second");
  CHECK(describe(0ms) == "0 seconds");
  CHECK(describe(-5s) == "0 seconds");
}

TEST_CASE("a duration is a count with one unit, seconds if it has none") {
  CHECK(parse_duration("10s") == 10s);
  CHECK(parse_duration("500ms") == 500ms);
  CHECK(parse_duration("2m") == 2min);
  CHECK(parse_duration("1h") == 1h);
  CHECK(parse_duration("3d") == days{3});
  CHECK(parse_duration("7") == 7s);
  CHECK(parse_duration("0") == 0s);
  CHECK(parse_duration("36500d") == days{36500});
  for (const char* text :
       {"", "s", "-1s", "+1s", "1.5s", "1 s", " 1s", "1x", "1h30m", "36501d", "99999999999999999999d"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration(text));
  }
}
