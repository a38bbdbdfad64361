#include "status_page.hpp"

#include <utility>

#include <acme_agent/base/error.hpp>
#include <acme_agent/status/faces.hpp>
#include <acme_agent/sys/processes.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

Page make_page(const std::string& path, const Reports& reports) {
  if (path == "/healthz")
    return {reports.exit_code() == 0 ? 200 : 503, "text/plain; charset=utf-8", as_health(reports)};
  if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", as_metrics(reports)};
  if (path == "/status.json") return {200, "application/json", as_json(reports)};
  return {200, "text/html; charset=utf-8", as_page(reports), policy_of_page()};
}

}  // namespace

StatusPage::StatusPage(SocketPlace place, std::vector<Subject> subjects, const StateFolder& state, Clock& clock,
                       Log& log)
    : place_(std::move(place)), state_(state), clock_(clock), log_(log), subjects_(std::move(subjects)) {
  const auto listen = [this] {
    listener_ = std::make_unique<PageListener>(
        place_, [this](const std::string& path) { return find(path); }, describe_port_holder);
    log_.debug("the status page can be asked for");
  };
  try {
    listen();
  } catch (const Error& error) {
    log_.error(error.message() + " (tried again every minute)");
    trying_ = std::jthread([this, listen](const std::stop_token& stop) {
      while (!listener_ && clock_.sleep_for(1min, stop)) try {
          listen();
          log_.info("the status page can be asked for now");
        } catch (const Error& still) {
          log_.debug(still.message());
        }
    });
  }
}

void StatusPage::replace(std::vector<Subject> subjects) {
  const std::lock_guard lock(mutex_);
  subjects_ = std::move(subjects);
  snapshot_.reset();
}

std::optional<Page> StatusPage::find(const std::string& path) {
  if (path != "/" && path != "/metrics" && path != "/healthz" && path != "/status.json") return std::nullopt;
  const std::lock_guard lock(mutex_);
  try {
    if (!snapshot_ || snapshot_->good_until <= clock_.uptime()) snapshot_ = take();
  } catch (const Error& error) {
    snapshot_.reset();
    return Page{500, "text/plain; charset=utf-8", error.message() + "\n"};
  }
  auto page = snapshot_->pages.find(path);
  if (page == snapshot_->pages.end()) page = snapshot_->pages.emplace(path, make_page(path, snapshot_->reports)).first;
  return page->second;
}

StatusPage::Snapshot StatusPage::take() const {
  const Duration began = clock_.uptime();
  Reports reports = report_on(subjects_, state_, ACME_AGENT_VERSION, clock_.now());
  const Duration ended = clock_.uptime();
  return {std::move(reports), ended + std::max<Duration>(1s, 10 * (ended - began)), {}};
}

}  // namespace acme_agent
