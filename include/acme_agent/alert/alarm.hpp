#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/alert/channel.hpp>
#include <acme_agent/base/log.hpp>

namespace acme_agent {

/// Tells each of its channels what is news to it, in one message. What they have heard is kept in a file, so that a
/// restart repeats nothing; one that cannot be told hears the news of then when it can. For one thread.
class Alarm {
 public:
  /// Throws Error (ask_operator) if the file was written by a newer version.
  Alarm(std::vector<std::unique_ptr<Channel>> channels, std::filesystem::path file, std::string host,
        const Clock& clock, Log& log);

  /// What cannot be told is logged. Throws Stopped.
  void look(const Reports& reports, const std::stop_token& stop);

  /// When a channel that could not be told is to be tried again, by uptime: after 1, 10 and 60 minutes, then every six
  /// hours.
  std::optional<Duration> try_again_at() const;

 private:
  struct Line {
    std::unique_ptr<Channel> channel;
    int failures = 0;
    std::optional<Duration> not_before;
  };

  using HeardByName = std::map<std::string, Told>;

  void tell(Line& line, const Reports& reports, const std::stop_token& stop);
  void load();
  void save();

  const std::filesystem::path file_;
  const std::string host_;
  const Clock& clock_;
  Log& log_;
  std::vector<Line> lines_;
  std::map<std::string, Lasting> lasting_;    ///< By certificate.
  std::map<std::string, HeardByName> heard_;  ///< By channel; no entry where nothing was said.
  std::string saved_;
};

}  // namespace acme_agent
