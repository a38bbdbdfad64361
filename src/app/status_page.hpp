#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/log.hpp>
#include <acme_agent/net/page_listener.hpp>
#include <acme_agent/status/report.hpp>

namespace acme_agent {

/// What `--status-listen` shows: the page, /metrics, /healthz and /status.json. The state folder is read when somebody
/// asks, at most once a second and a tenth of the time.
class StatusPage {
 public:
  /// Where it cannot listen, that is logged and tried again every minute: nothing else depends on it.
  StatusPage(SocketPlace place, std::vector<Subject> subjects, const StateFolder& state, Clock& clock, Log& log);

  /// From now on these. Safe from every thread.
  void replace(std::vector<Subject> subjects);

 private:
  /// All that is known at one moment, and its pages as far as somebody has asked for them.
  struct Snapshot {
    Reports reports;
    Duration good_until;  ///< By uptime.
    std::map<std::string, Page> pages;
  };

  std::optional<Page> find(const std::string& path);
  Snapshot take() const;

  const SocketPlace place_;
  const StateFolder& state_;
  Clock& clock_;
  Log& log_;
  std::mutex mutex_;
  std::vector<Subject> subjects_;
  std::optional<Snapshot> snapshot_;
  std::unique_ptr<PageListener> listener_;
  std::jthread trying_;  // until it listens
};

}  // namespace acme_agent
