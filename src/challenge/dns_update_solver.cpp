#include <algorithm>
#include <map>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/challenge/dns01.hpp>
#include <acme_agent/challenge/dns_update_solver.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr Duration patience = 2min;  // with the slowest name server, from the update on
constexpr Duration patience_with_one = 2s;
constexpr Duration longest_nap = 1s;

class DnsUpdatePresentation final : public Presentation {
 public:
  DnsUpdatePresentation(const UpdateServer& server, UpdateServer::Place place, std::string text, Clock& clock, Log& log)
      : server_(server),
        place_(std::move(place)),
        text_(std::move(text)),
        clock_(clock),
        log_(log),
        deadline_(clock.uptime() + patience) {}

  ~DnsUpdatePresentation() override {
    try {
      server_.change_txt(place_, text_, TxtChange::remove, {});
    } catch (const std::exception& error) {
      log_.warning("a TXT record stays at " + printable(place_.name, 300) + ": " + error.what());
    }
  }
  DnsUpdatePresentation(const DnsUpdatePresentation&) = delete;
  DnsUpdatePresentation& operator=(const DnsUpdatePresentation&) = delete;

  void await_shown(const std::stop_token& stop) const override {
    std::vector<NameServer> behind;
    try {
      behind = server_.servers_of(place_, stop);
    } catch (const Error& error) {
      log_.warning("cannot see which name servers show the answer to dns-01: " + error.message());
      return;
    }
    log_.progress("waiting until every name server of " + printable(place_.zone, 300) + " shows the answer");
    std::map<std::string, std::string> why;
    for (Duration nap = 250ms;; nap = std::min(nap * 2, longest_nap)) {
      std::erase_if(behind, [&](const NameServer& one) { return shows(one, why[one.text()], stop); });
      if (behind.empty()) return;
      if (clock_.uptime() >= deadline_) break;
      if (!clock_.sleep_for(nap, stop)) throw Stopped{};
    }
    for (const NameServer& one : behind)
      log_.warning(one.text() + " does not show the TXT record " + printable(place_.name, 300) + " after " +
                   acme_agent::describe(patience) + " (" + why[one.text()] +
                   "); the server is asked all the same: do its zone transfers work?");
  }

 private:
  bool shows(const NameServer& one, std::string& why, const std::stop_token& stop) const {
    try {
      why = "it has an older zone";
      return shows_txt(one, place_.name, text_, patience_with_one, stop);
    } catch (const Error& error) {
      why = error.message();
      return false;
    }
  }

  const UpdateServer& server_;
  const UpdateServer::Place place_;
  const std::string text_;
  Clock& clock_;
  Log& log_;
  const Duration deadline_;
};

}  // namespace

std::unique_ptr<Presentation> DnsUpdateSolver::present(const ChallengeAnswer& answer, const std::stop_token& stop) {
  const UpdateServer::Place place = server_.place_of(dns01_name(answer.identifier), stop);
  const std::string text = dns01_value(answer.key_authorization);
  try {
    server_.change_txt(place, text, TxtChange::add, stop);
  } catch (const Error&) {
    try {
      server_.change_txt(place, text, TxtChange::remove, stop);  // it may stand though its answer was lost
    } catch (const Error&) {
    }
    throw;
  }
  return std::make_unique<DnsUpdatePresentation>(server_, place, text, clock_, log_);
}

}  // namespace acme_agent
