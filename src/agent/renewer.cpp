#include <utility>

#include <acme_agent/agent/renewer.hpp>
#include <acme_agent/base/dates.hpp>

#include "attempt.hpp"

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr Duration small_correction = 1min;
constexpr Duration confirmed_for = 15min;
constexpr Duration refuted_for = 1min;
constexpr Duration directory_good_for = 24h;

}  // namespace

Renewer::Renewer(Accounts accounts, std::function<CertificateState(const std::string& name)> state, TimePoint built,
                 Clock& clock, Log& log, ExplainNames explain)
    : accounts_(accounts),
      state_(std::move(state)),
      built_(built),
      clock_(clock),
      log_(log),
      explain_(std::move(explain)),
      limits_(std::move(accounts), clock) {}

Outcome Renewer::renew(const Managed& managed, const Wish& wish, const std::function<void()>& servable,
                       const std::stop_token& stop) const {
  const std::function<void()> tell = servable ? servable : [] {};
  Attempt attempt{.renewer = *this, .managed = managed, .wish = wish, .stop = stop};
  try {
    attempt.load();
    attempt.doubt_clock();
    if (!attempt.doubt.empty()) {
      attempt.place_what_there_is();
    } else {
      if (!wish.force) attempt.deploy_if_due();
      if (attempt.looked) tell();
      attempt.ask_for_advice();
      attempt.order_while_due(tell);
      attempt.deploy_if_due();
      if (attempt.issued) attempt.ask_for_advice();
    }
    tell();
    const Outcome outcome = attempt.outcome();
    attempt.save();
    attempt.tell(outcome);
    return outcome;
  } catch (const std::exception& error) {  // what is known could not be read or written
    tell();
    const TimePoint next = clock_.now() + wait_after_failure(2, std::nullopt, clock_.now());
    log_.error(std::string(error.what()) + "; next try at " + format_rfc3339(next), managed.name);
    return {.next = next, .problem = error.what()};
  }
}

bool Renewer::place_what_there_is(const Managed& managed, const std::stop_token& stop) const {
  const Wish nothing_more;
  Attempt attempt{.renewer = *this, .managed = managed, .wish = nothing_more, .stop = stop};
  try {
    attempt.load();
    attempt.place_what_there_is();
    attempt.save();
    return attempt.pair_lies();
  } catch (const std::exception& error) {
    log_.error(error.what(), managed.name);
    return false;
  }
}

bool Renewer::is_servable(const Managed& managed) const {
  try {
    return pair_lies(managed.target, state_(managed.name).peek_record());
  } catch (const Error&) {  // renew() says the same, where it counts
    return false;
  }
}

bool Renewer::pair_lies(const DeploymentTarget& target, const Record& record) {
  if (!record.deploy.stamp.empty() && record.deploy.stamp == Deployer::stamp(target)) return true;
  try {
    return Deployer::deployed(target).has_value();
  } catch (const Error&) {  // the deployment says the same, where it counts
    return false;
  }
}

std::optional<Directory> Renewer::known_directory(const AcmeServer& server) const {
  const std::lock_guard lock(directories_mutex_);
  const auto known = known_directories_.find(server.url);
  if (known == known_directories_.end() || clock_.uptime() - known->second.fetched > directory_good_for)
    return std::nullopt;
  return known->second.directory;
}

void Renewer::know_directory(const AcmeServer& server, std::optional<Directory> directory) const {
  const std::lock_guard lock(directories_mutex_);
  if (directory)
    known_directories_.insert_or_assign(server.url, KnownDirectory{*std::move(directory), clock_.uptime()});
  else
    known_directories_.erase(server.url);
}

/// Whether this server's clock says the same as ours; asked again once a quarter of an hour, and once the clock was
/// set.
bool Renewer::clock_is_confirmed(const AcmeServer& server, const std::stop_token& stop) const {
  const std::lock_guard lock(clock_mutex_);
  const Duration uptime = clock_.uptime();
  const Duration started = clock_.now().time_since_epoch() - uptime;
  ClockCheck& check = clock_check_;
  if (std::chrono::abs(started - check.started) > small_correction) check = {};
  check.started = started;
  if (check.confirmed && uptime - *check.confirmed < confirmed_for) return true;
  const auto asked = check.in_vain.find(server.url);
  if (asked != check.in_vain.end() && uptime - asked->second < refuted_for) return false;
  check.confirmed.reset();
  check.in_vain[server.url] = uptime;
  try {
    const std::optional<TimePoint> date = fetch_directory(*server.connect(), clock_, server.url, stop).date;
    if (!date || why_clock_is_wrong(clock_.now(), *date)) return false;
  } catch (const Error&) {  // a server that cannot be asked confirms nothing
    return false;
  }
  check.in_vain.clear();
  check.refuted.clear();
  check.confirmed = uptime;
  return true;
}

void Renewer::refute_clock(const std::string& name, const AcmeServer& server, const std::string& why) const {
  {
    const std::lock_guard lock(clock_mutex_);
    const Duration uptime = clock_.uptime();
    clock_check_ = {};
    clock_check_.started = clock_.now().time_since_epoch() - uptime;
    clock_check_.in_vain[server.url] = uptime;
    clock_check_.refuted = why;
  }
  doubt_clock(name, why);
}

/// What a server has said against our clock, as long as nobody has set it since.
std::optional<std::string> Renewer::why_clock_was_refuted() const {
  const std::lock_guard lock(clock_mutex_);
  const Duration started = clock_.now().time_since_epoch() - clock_.uptime();
  if (clock_check_.refuted.empty() || std::chrono::abs(started - clock_check_.started) > small_correction)
    return std::nullopt;
  return clock_check_.refuted;
}

void Renewer::doubt_clock(const std::string& name, const std::string& why) const {
  const std::lock_guard lock(clock_mutex_);
  if (doubted_by_.empty()) log_.warning(why + advice_on_clock);
  doubted_by_.insert(name);
}

void Renewer::trust_clock(const std::string& name) const {
  const std::lock_guard lock(clock_mutex_);
  if (doubted_by_.erase(name) > 0 && doubted_by_.empty()) log_.info("the clock is right again");
}

/// The account for the server; new ones have a key on disk, and no URL until the server has been told (RFC 8555 7.3).
Account Renewer::account_for(const Managed& managed, const AcmeServer& server) const {
  const std::lock_guard lock(accounts_mutex_);
  const std::string stamp = accounts_.stamp(server.url);
  const auto known = known_accounts_.find(server.url);
  if (known != known_accounts_.end() && known->second.stamp == stamp) return known->second.account;
  if (std::optional<Account> account = accounts_.load(server.url)) {
    known_accounts_.insert_or_assign(server.url, KnownAccount{stamp, *account});
    return *std::move(account);
  }
  if (accounts_.set_damaged_key_aside(server.url))
    log_.warning(
        "the account key for " + server.name + " was damaged and is kept as key.pem.damaged; a new account is made",
        managed.name);
  const Account account{PrivateKey::generate(KeyType::ec256), "", managed.email};
  accounts_.save(server.url, account);
  return account;
}

/// Two threads that do this at once get the same account, as they use the same key.
std::string Renewer::register_account(const Managed& managed, const AcmeServer& server, Session& session,
                                      const Account& account, const std::stop_token& stop) const {
  // Of several servers, only those that ask for a binding get it: it is known to one of them.
  const bool bound =
      server.external_account && (managed.servers.size() == 1 || session.directory(stop).external_account_required);
  const std::string url =
      session.new_account(managed.email, bound ? std::optional(server.external_account()) : std::nullopt, stop);
  const std::lock_guard lock(accounts_mutex_);
  const std::optional<Account> known = accounts_.load(server.url);
  if (known && known->url == url) return url;
  accounts_.save(server.url, {account.key, url, managed.email, clock_.now()});
  const std::string terms = session.directory(stop).terms_of_service;
  log_.info("account made at " + server.name + (terms.empty() ? "" : ", agreeing to its terms of service: " + terms),
            managed.name);
  return url;
}

}  // namespace acme_agent
