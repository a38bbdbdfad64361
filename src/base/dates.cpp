#include <algorithm>
#include <array>
#include <cstdint>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

using namespace std::chrono;

constexpr std::array<std::string_view, 12> month_names = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> short_days = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 7> long_days = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                       "Thursday", "Friday", "Saturday"};

/// With zeros in front, up to so many digits.
std::string padded(long number, std::size_t digits) {
  const std::string text = std::to_string(number);
  return std::string(digits - std::min(digits, text.size()), '0') + text;
}

/// Reads a text from left to right; after the first mismatch ok() is false for good.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && rest_.empty(); }
  bool next_is(char character) const { return rest_.starts_with(character); }

  void literal(std::string_view expected) {
    ok_ = ok_ && rest_.starts_with(expected);
    if (ok_) rest_.remove_prefix(expected.size());
  }

  char one_of(std::string_view characters) {
    ok_ = ok_ && !rest_.empty() && characters.find(rest_[0]) != std::string_view::npos;
    if (!ok_) return '\0';
    const char found = rest_[0];
    rest_.remove_prefix(1);
    return found;
  }

  int digits(int count) {
    int value = 0;
    for (int i = 0; i < count; ++i) value = 10 * value + (one_of("0123456789") - '0');
    return ok_ ? value : 0;
  }

  /// The place of the name found here in `names`.
  template <std::size_t size>
  unsigned name(const std::array<std::string_view, size>& names) {
    for (unsigned i = 0; ok_ && i < size; ++i) {
      if (rest_.starts_with(names[i])) {
        rest_.remove_prefix(names[i].size());
        return i;
      }
    }
    ok_ = false;
    return 0;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

struct DateTime {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
};

void scan_time(Scanner& scanner, DateTime& date) {
  date.hour = scanner.digits(2);
  scanner.literal(":");
  date.minute = scanner.digits(2);
  scanner.literal(":");
  date.second = scanner.digits(2);
}

/// Nothing where a leap second or an offset leads to a year that RFC 3339 cannot write.
std::optional<TimePoint> writable(TimePoint time) {
  constexpr sys_days first = year{0} / January / 1;
  constexpr sys_days end = year{10000} / January / 1;
  return time >= first && time < end ? std::optional(time) : std::nullopt;
}

std::optional<TimePoint> to_time_point(const DateTime& date) {
  const year_month_day day{year{date.year}, month{static_cast<unsigned>(date.month)},
                           std::chrono::day{static_cast<unsigned>(date.day)}};
  // A leap second (60) is the first second of the next minute.
  if (!day.ok() || date.hour > 23 || date.minute > 59 || date.second > 60) return std::nullopt;
  return writable(sys_days{day} + hours{date.hour} + minutes{date.minute} + seconds{date.second});
}

/// "Sun, 06 Nov 1994 08:49:37 GMT"
std::optional<TimePoint> parse_imf_fixdate(std::string_view text) {
  Scanner scanner(text);
  DateTime date;
  scanner.name(short_days);
  scanner.literal(", ");
  date.day = scanner.digits(2);
  scanner.literal(" ");
  date.month = static_cast<int>(scanner.name(month_names)) + 1;
  scanner.literal(" ");
  date.year = scanner.digits(4);
  scanner.literal(" ");
  scan_time(scanner, date);
  scanner.literal(" GMT");
  return scanner.at_end() ? to_time_point(date) : std::nullopt;
}

/// "Sunday, 06-Nov-94 08:49:37 GMT"
std::optional<TimePoint> parse_rfc850_date(std::string_view text, TimePoint now) {
  Scanner scanner(text);
  DateTime date;
  scanner.name(long_days);
  scanner.literal(", ");
  date.day = scanner.digits(2);
  scanner.literal("-");
  date.month = static_cast<int>(scanner.name(month_names)) + 1;
  scanner.literal("-");
  date.year = scanner.digits(2);
  scanner.literal(" ");
  scan_time(scanner, date);
  scanner.literal(" GMT");
  if (!scanner.at_end()) return std::nullopt;
  // RFC 9110 5.6.7: what seems more than 50 years ahead is the most recent past year with these two digits.
  const int this_year = static_cast<int>(year_month_day{floor<days>(now)}.year());
  date.year += this_year + 50 - (this_year + 50) % 100;
  if (date.year > this_year + 50) date.year -= 100;
  return to_time_point(date);
}

/// "Sun Nov  6 08:49:37 1994"
std::optional<TimePoint> parse_asctime(std::string_view text) {
  Scanner scanner(text);
  DateTime date;
  scanner.name(short_days);
  scanner.literal(" ");
  date.month = static_cast<int>(scanner.name(month_names)) + 1;
  scanner.literal(" ");
  const bool one_digit = scanner.next_is(' ');
  if (one_digit) scanner.literal(" ");
  date.day = scanner.digits(one_digit ? 1 : 2);
  scanner.literal(" ");
  scan_time(scanner, date);
  scanner.literal(" ");
  date.year = scanner.digits(4);
  return scanner.at_end() ? to_time_point(date) : std::nullopt;
}

/// The number that all of `text` is; above `most` it is `most`.
std::optional<std::int64_t> parse_count(std::string_view text, std::int64_t most) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  std::int64_t value = 0;
  for (const char digit : text) value = std::min(10 * value + (digit - '0'), most);
  return value;
}

}  // namespace

std::string format_rfc3339(TimePoint time) {
  const sys_days day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{floor<seconds>(time - day)};
  return padded(static_cast<int>(date.year()), 4) + '-' + padded(static_cast<unsigned>(date.month()), 2) + '-' +
         padded(static_cast<unsigned>(date.day()), 2) + 'T' + padded(clock.hours().count(), 2) + ':' +
         padded(clock.minutes().count(), 2) + ':' + padded(clock.seconds().count(), 2) + 'Z';
}

std::optional<TimePoint> parse_rfc3339(std::string_view text) {
  Scanner scanner(text);
  DateTime date;
  date.year = scanner.digits(4);
  scanner.literal("-");
  date.month = scanner.digits(2);
  scanner.literal("-");
  date.day = scanner.digits(2);
  scanner.one_of("Tt ");  // RFC 3339 5.6 allows lower case, and a space for readability.
  scan_time(scanner, date);
  milliseconds fraction{0};
  if (scanner.next_is('.')) {
    scanner.literal(".");
    milliseconds place{100};
    do {
      fraction += place * scanner.digits(1);
      place /= 10;
    } while (scanner.ok() && !scanner.next_is('Z') && !scanner.next_is('z') && !scanner.next_is('+') &&
             !scanner.next_is('-'));
  }
  minutes offset{0};
  const char zone = scanner.one_of("Zz+-");
  if (zone == '+' || zone == '-') {
    const int offset_hours = scanner.digits(2);
    scanner.literal(":");
    const int offset_minutes = scanner.digits(2);
    if (offset_hours > 23 || offset_minutes > 59) return std::nullopt;
    offset = hours{offset_hours} + minutes{offset_minutes};
    if (zone == '-') offset = -offset;
  }
  if (!scanner.at_end()) return std::nullopt;
  const std::optional<TimePoint> local = to_time_point(date);
  if (!local) return std::nullopt;
  return writable(*local + fraction - offset);
}

std::optional<TimePoint> parse_retry_after(std::string_view text, TimePoint now) {
  constexpr seconds longest = days{3650};
  if (const auto count = parse_count(trim(text), longest.count())) return now + seconds{*count};
  return parse_http_date(text, now);
}

std::optional<TimePoint> parse_http_date(std::string_view text, TimePoint now) {
  text = trim(text);
  if (const auto date = parse_imf_fixdate(text)) return date;
  if (const auto date = parse_rfc850_date(text, now)) return date;
  return parse_asctime(text);
}

std::string describe(Duration duration) {
  struct Unit {
    Duration length;
    std::string_view name;
  };
  constexpr std::array<Unit, 5> units = {{{days{1}, "day"},
                                          {hours{1}, "hour"},
                                          {minutes{1}, "minute"},
                                          {seconds{1}, "second"},
                                          {Duration{1}, "millisecond"}}};
  if (duration <= Duration{0}) return "0 seconds";
  if (duration >= seconds{1}) duration = floor<seconds>(duration);

  // "90 minutes" reads better than "1 hour 30 minutes": a unit counts from two of it on, or when it says all.
  const auto* unit = units.begin();
  while (duration < 2 * unit->length && duration != unit->length) ++unit;

  const auto counted = [](std::int64_t count, std::string_view name) {
    return std::to_string(count) + ' ' + std::string(name) + (count == 1 ? "" : "s");
  };
  std::string text = counted(duration / unit->length, unit->name);
  const Duration rest = duration % unit->length;
  if (const auto* next = unit + 1; next != units.end() && rest >= next->length) {
    text += ' ' + counted(rest / next->length, next->name);
  }
  return text;
}

std::optional<Duration> parse_duration(std::string_view text) {
  const std::size_t end = text.find_first_not_of("0123456789");
  const std::string_view unit = end == std::string_view::npos ? "s" : text.substr(end);
  Duration length{0};
  if (unit == "ms") length = Duration{1};
  if (unit == "s") length = seconds{1};
  if (unit == "m") length = minutes{1};
  if (unit == "h") length = hours{1};
  if (unit == "d") length = days{1};
  if (length == Duration{0}) return std::nullopt;
  constexpr Duration longest = days{36500};
  const auto count = parse_count(text.substr(0, end), longest.count() + 1);
  if (!count || *count > longest / length) return std::nullopt;
  return *count * length;
}

}  // namespace acme_agent
