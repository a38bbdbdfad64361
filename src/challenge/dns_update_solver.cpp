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

}  // namespace

/// A record that may stand; removed with its destruction.
class DnsUpdateSolver::Record final : public Presentation {
 public:
  Record(DnsUpdateSolver& solver, UpdateServer::Place place, std::string text)
      : solver_(solver),
        place_(std::move(place)),
        text_(std::move(text)),
        deadline_(solver.clock_.uptime() + patience) {
    ++solver_.standing_;
  }
  ~Record() override {
    try {
      if (may_stand_) solver_.server_.change_txt(place_, text_, TxtChange::remove, {});
    } catch (const std::exception& error) {
      solver_.log_.warning("a TXT record stays at " + printable(place_.name, 300) + ": " + error.what());
    }
    --solver_.standing_;
  }
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  void add(const std::stop_token& stop) {
    if (stop.stop_requested()) throw Stopped{};
    may_stand_ = true;
    try {
      solver_.server_.change_txt(place_, text_, TxtChange::add, stop);
    } catch (const Error&) {
      may_stand_ = false;
      try {
        solver_.server_.change_txt(place_, text_, TxtChange::remove, {});  // it may stand though its answer was lost
      } catch (const Error&) {
      }
      throw;
    }
  }

  void await_shown(const std::stop_token& stop) const override {
    std::vector<NameServer> behind;
    try {
      behind = solver_.server_.servers_of(place_, stop);
    } catch (const Error& error) {
      solver_.log_.warning("cannot see which name servers show the answer to dns-01: " + error.message());
      return;
    }
    solver_.log_.progress("waiting until every name server of " + printable(place_.zone, 300) + " shows the answer");
    std::map<std::string, std::string> why;
    for (Duration nap = 250ms;; nap = std::min(nap * 2, longest_nap)) {
      std::erase_if(behind, [&](const NameServer& one) { return shows(one, why[one.text()], stop); });
      if (behind.empty()) return;
      if (solver_.clock_.uptime() >= deadline_) break;
      if (!solver_.clock_.sleep_for(nap, stop)) throw Stopped{};
    }
    for (const NameServer& one : behind)
      solver_.log_.warning(one.text() + " does not show the TXT record " + printable(place_.name, 300) + " after " +
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

  DnsUpdateSolver& solver_;
  const UpdateServer::Place place_;
  const std::string text_;
  const Duration deadline_;
  bool may_stand_ = false;
};

std::unique_ptr<Presentation> DnsUpdateSolver::present(const ChallengeAnswer& answer, const std::stop_token& stop) {
  auto record = std::make_unique<Record>(*this, server_.place_of(dns01_name(answer.identifier), stop),
                                         dns01_value(answer.key_authorization));
  record->add(stop);
  return record;
}

}  // namespace acme_agent
