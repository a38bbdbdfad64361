#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/status/report.hpp>

namespace acme_agent {

// When somebody is to be told about a certificate, and what. All of it is pure.

/// What somebody is told about, the lightest first.
enum class Trouble {
  none,
  not_served,  ///< The broker has not served it for an hour.
  late,        ///< Two thirds of the time from its renewal to its end have passed in vain.
  soon,        ///< It ends within three days, or a tenth of its lifetime if that is less.
  missing,     ///< There has been none for a day.
  expired,
};
std::string_view to_string(Trouble trouble);
std::optional<Trouble> parse_trouble(std::string_view text);

/// Since when lasts what is a trouble only if it lasts.
struct Lasting {
  std::optional<TimePoint> not_served;
  std::optional<TimePoint> missing;

  bool operator==(const Lasting&) const = default;
};
Lasting observe(const Lasting& before, const Report& report, TimePoint now);

Trouble trouble_of(const Report& report, const Lasting& lasting, TimePoint now);

/// What one who is told has heard last of a certificate.
struct Told {
  Trouble trouble = Trouble::none;
  std::string fingerprint;              ///< Of the leaf that it was about.
  std::optional<TimePoint> not_served;  ///< When that was told last.

  bool operator==(const Told&) const = default;
};

/// Whether that is news: each trouble once for a certificate, that it is not served once a day, and that all is well
/// again.
bool is_news(const Told& told, const Report& report, Trouble trouble, TimePoint now);
Told after_telling(const Told& told, const Report& report, Trouble trouble, TimePoint now);

struct News {
  const Report* report;
  Trouble trouble;
};

/// What is told: all the news at once.
struct Alert {
  struct Item {
    std::string certificate;
    Trouble trouble;
    std::string text;
  };

  std::string title;
  std::string text;               ///< Less than 4 KiB.
  Trouble worst = Trouble::none;  ///< Nothing: all of it is good news.
  std::vector<Item> items;        ///< A thousand at most.
};
Alert alert_of(const std::vector<News>& news, const std::string& host, TimePoint now);

}  // namespace acme_agent
