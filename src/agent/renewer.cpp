#include <algorithm>
#include <future>
#include <utility>

#include <acme_agent/agent/issue.hpp>
#include <acme_agent/agent/planner.hpp>
#include <acme_agent/agent/renewer.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr Duration look_every = 24h;
constexpr Duration longest_wait = 24h;              // the ladder's last step
constexpr Duration longest_asked_wait = 7 * 24h;    // no limit of a real server lasts longer
constexpr std::size_t longest_error = 4000;         // bytes of a server's explanations
constexpr int repeated_failures_worth_a_write = 8;  // then a broker that stays away costs the SD card nothing

std::vector<Identifier> sorted(std::vector<Identifier> identifiers) {
  std::sort(identifiers.begin(), identifiers.end());
  return identifiers;
}

bool usable(const std::optional<Held>& held, TimePoint now) {
  return held && held->pair.chain.leaf().validity().contains(now);
}

/// Held, of the names, the server and the kind of key that are wanted now.
bool as_wanted(const Managed& managed, const Held& held) {
  return held.server == managed.server && held.pair.key.type() == managed.key_type &&
         same_names(held.pair.chain.leaf().identifiers(), managed.identifiers);
}

std::optional<Validity> validity_of(const std::optional<Held>& held) {
  if (!held) return std::nullopt;
  return held->pair.chain.leaf().validity();
}

}  // namespace

std::string inputs_of(const Managed& managed) {
  std::string inputs = managed.server + " " + std::string(to_string(managed.key_type));
  for (const Identifier& identifier : sorted(managed.identifiers)) inputs += " " + identifier.value;
  return inputs;
}

Due next_order(const Managed& managed, const std::optional<Held>& held, const Record& record, TimePoint now) {
  Due due{now, Reason::missing};
  if (held && !as_wanted(managed, *held)) due.reason = Reason::changed;
  if (held && as_wanted(managed, *held)) {
    const Validity validity = held->pair.chain.leaf().validity();
    due = {plan_renewal(validity, spread_of(managed.name)), Reason::lifetime};
    // A short-lived certificate that was set back by more than its share would be due again as soon as it is issued.
    if (record.last_attempt && *record.last_attempt <= now)
      due.when = std::max(
          due.when, *record.last_attempt + std::max<Duration>((validity.not_after - *record.last_attempt) / 3, 1s));
  }
  if (record.inputs != inputs_of(managed)) return due;
  // A wait that lies further ahead than any of ours was written by a clock that was wrong.
  const bool ours = record.failures > 0 && record.next_attempt && *record.next_attempt <= now + longest_wait;
  if (ours) due = {*record.next_attempt, Reason::retry};  // also where only a forced renewal was due
  if (record.not_before && *record.not_before > due.when) due = {*record.not_before, Reason::retry};
  return due;
}

Renewer::Renewer(Accounts accounts, std::function<CertificateState(const std::string& name)> state, Clock& clock,
                 Log& log)
    : accounts_(std::move(accounts)), state_(std::move(state)), clock_(clock), log_(log) {}

/// One call of renew(): what is known, and what has become of it.
struct Renewer::Attempt {
  const Renewer& renewer;
  const Managed& managed;
  const Wish& wish;
  const std::stop_token& stop;
  const CertificateState state = renewer.state_(managed.name);
  std::optional<Held> held{};
  std::optional<Pending> pending{};
  Record record{};
  bool ordered = false;
  bool issued = false;
  bool looked = false;
  bool looked_fully = false;
  std::string deploy_error_before{};

  TimePoint now() const { return renewer.clock_.now(); }
  void warn(const std::string& message) const { renewer.log_.warning(message, managed.name); }

  void load() {
    CertificateState::Loaded loaded = state.load_record();
    if (!loaded.damaged.empty()) warn(loaded.damaged);
    record = std::move(loaded.record);
    record.cert_dir = managed.target.folder;
    held = state.held();
    load_pending();
    deploy_error_before = record.deploy.last_error;
    if (record.not_before && *record.not_before > now() + longest_asked_wait) record.not_before.reset();
    if (record.inputs == inputs_of(managed)) return;
    record.last_attempt.reset();
    record.inputs = inputs_of(managed);
    record.failures = 0;
    record.last_error.clear();
    record.next_attempt.reset();
    record.not_before.reset();
  }

  /// The key that is chosen and the order under way, if it is still the one that is wanted.
  void load_pending() {
    pending = state.pending();
    if (!pending) return;
    if (held && !pending->order_url.empty() && pending->order_url == held->order_url) {  // done with before a crash
      state.clear_pending();
      pending.reset();
    } else if (pending->server != managed.server || pending->key.type() != managed.key_type ||
               !same_names(pending->identifiers, managed.identifiers)) {
      pending->order_url.clear();
    }
  }

  bool pair_lies() const {
    try {
      return Deployer::deployed(managed.target).has_value();
    } catch (const Error&) {  // the deployment says the same, where it counts
      return false;
    }
  }

  /// Orders a certificate if one is due or wished for.
  void order_if_due(const std::function<void()>& servable) {
    Due due = next_order(managed, held, record, now());
    if (pending && !pending->order_url.empty() && record.failures == 0) due = {now(), Reason::retry};
    if (record.not_before && *record.not_before > now()) {
      if (wish.now) warn("the server asked not to be asked before " + format_rfc3339(*record.not_before));
      return;
    }
    if (wish.force)
      due = {now(), Reason::forced};
    else if (wish.now && due.reason == Reason::retry)
      due.when = now();
    if (due.when > now()) return;

    ordered = true;
    record.last_attempt = now();
    record.reason = due.reason;
    state.save_record(record);  // where this is not possible, nothing is ordered
    try {
      held = renewer.obtain(managed, state, held, pending, servable, stop);
      pending.reset();
      issued = true;
      record.failures = 0;
      record.last_error.clear();
      record.not_before.reset();
      record.deploy = {};
    } catch (const Error& error) {
      ++record.failures;
      record.last_error = printable(error.message(), longest_error);
      record.not_before = error.not_before();
      if (record.not_before) record.not_before = std::min<TimePoint>(*record.not_before, now() + longest_asked_wait);
      record.next_attempt = now() + wait_after_failure(record.failures, validity_of(held), now());
    }
  }

  /// Deploys what is held and looks at what is served, if that is due.
  void deploy_if_due() {
    if (!held) return;
    Record::Deploy& deploy = record.deploy;
    const bool retry = deploy.next_attempt && *deploy.next_attempt <= now();
    const bool daily = !deploy.last_look || *deploy.last_look + look_every <= now() || *deploy.last_look > now();
    const bool full = issued || wish.look || wish.now || daily;
    if (!full && !retry) return;
    const std::string fingerprint = held->pair.chain.leaf().fingerprint_sha256();
    // What broke the handshakes would break them again: once a day is often enough, or when somebody asks for it.
    if (deploy.rejected == fingerprint && !wish.now && !daily) return;

    looked = true;
    looked_fully = full;
    const Deployment done = Deployer(renewer.clock_, renewer.log_)
                                .deploy(managed.target, held->pair, full ? Effort::full : Effort::look, stop);
    deploy.last_look = now();
    deploy.ok = done.state == Deployment::State::done;
    deploy.last_error = done.detail;
    deploy.failures = deploy.ok ? 0 : deploy.failures + 1;
    deploy.next_attempt.reset();
    if (!deploy.ok)
      deploy.next_attempt = now() + wait_after_deployment(deploy.failures, done.state != Deployment::State::waiting);
    deploy.rejected.clear();
    if (done.rolled_back) {
      deploy.rejected = fingerprint;
      deploy.next_attempt = now() + look_every;
    }
    record.served.clear();
    for (const Seen& seen : done.seen)
      if (seen.ok || !deploy.ok)
        record.served.push_back({seen.endpoint, seen.address, seen.ok, *deploy.last_look, seen.detail});
  }

  Outcome outcome() {
    const Due due = next_order(managed, held, record, now());
    Outcome outcome;
    outcome.issued = issued;
    outcome.good = usable(held, now()) && as_wanted(managed, *held) && record.failures == 0 && due.when > now();
    outcome.served = held && record.deploy.ok;
    outcome.proven = outcome.served && !record.served.empty();
    outcome.problem = !record.last_error.empty() ? record.last_error : record.deploy.last_error;
    if (outcome.problem.empty() && held && held->pair.chain.leaf().validity().not_before > now())
      outcome.problem = "the certificate held is not valid before " +
                        format_rfc3339(held->pair.chain.leaf().validity().not_before) +
                        " by this machine's clock: is the clock right?";
    if (record.failures == 0) record.next_attempt = due.when;
    record.reason = due.reason;
    outcome.next = std::max(due.when, now());
    if (held) outcome.next = std::min(outcome.next, record.deploy.next_attempt.value_or(now() + look_every));
    return outcome;
  }

  void save() const {
    const bool nothing_new = !ordered && !looked_fully && record.deploy.failures > repeated_failures_worth_a_write &&
                             record.deploy.last_error == deploy_error_before;
    if (!nothing_new) state.save_record(record);
  }

  /// What is new since the last run, a line each; everything if somebody asks.
  void tell(const Outcome& outcome) const {
    const bool asked = wish.look || wish.now;
    const TimePoint next = next_order(managed, held, record, now()).when;
    if (record.failures > 0 && (ordered || asked))
      renewer.log_.error(record.last_error + "; next try at " + format_rfc3339(next) + held_until(), managed.name);
    else if (asked && record.deploy.ok && !outcome.problem.empty())
      warn(outcome.problem);
    else if (wish.now && !ordered)
      renewer.log_.info("not due before " + format_rfc3339(next) + "; --force renews all the same", managed.name);
    if (!looked) return;
    if (!record.deploy.ok && (asked || issued || record.deploy.last_error != deploy_error_before)) {
      const bool asks = record.deploy.last_error.ends_with('?');
      warn(record.deploy.last_error + (asks ? " Looking" : "; looking") + " again at " +
           format_rfc3339(*record.deploy.next_attempt));
    }
    if (outcome.served && (asked || issued || !deploy_error_before.empty()))
      renewer.log_.info("in place in " + managed.target.folder.string() + served(), managed.name);
  }

  std::string held_until() const {
    if (!held) return "";
    const TimePoint end = held->pair.chain.leaf().validity().not_after;
    return "; the certificate held " + std::string(end < now() ? "ended" : "ends") + " at " + format_rfc3339(end);
  }

  std::string served() const {
    std::vector<std::string> endpoints;
    for (const Served& seen : record.served) endpoints.push_back(seen.endpoint + " (" + seen.address + ")");
    return endpoints.empty() ? "; no broker was looked at" : " and served by " + join(endpoints);
  }
};

Outcome Renewer::renew(const Managed& managed, const Wish& wish, const std::function<void()>& servable,
                       const std::stop_token& stop) const {
  const std::function<void()> tell = servable ? servable : [] {};
  Attempt attempt{.renewer = *this, .managed = managed, .wish = wish, .stop = stop};
  try {
    attempt.load();
    if (servable && attempt.pair_lies()) tell();
    if (attempt.held && !wish.force) {
      attempt.deploy_if_due();
      tell();
    }
    attempt.order_if_due(tell);
    if (attempt.issued || !attempt.looked) attempt.deploy_if_due();
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

PrivateKey Renewer::choose_key(const Managed& managed, const CertificateState& state, const std::optional<Held>& held,
                               const std::optional<Pending>& pending) const {
  if (pending && !pending->order_url.empty()) return pending->key;
  if (managed.reuse_key && held && held->pair.key.type() == managed.key_type) return held->pair.key;
  if (pending && pending->key.type() == managed.key_type) return pending->key;
  PrivateKey key = PrivateKey::generate(managed.key_type);
  state.save_pending({key, managed.server, "", managed.identifiers});
  return key;
}

Held Renewer::obtain(const Managed& managed, const CertificateState& state, const std::optional<Held>& held,
                     const std::optional<Pending>& pending, const std::function<void()>& servable,
                     const std::stop_token& stop) const {
  // The key is made beside the network, and the placeholder stands as soon as there is a key.
  const std::shared_future<PrivateKey> chosen = std::async(std::launch::async, [&] {
    const PrivateKey key = choose_key(managed, state, held, pending);
    if (managed.placeholder && !usable(held, clock_.now())) {
      const std::optional<Deployment> placed = Deployer(clock_, log_).deploy_placeholder(managed.target, key, stop);
      if (placed && placed->switched)
        log_.info("a self-signed placeholder stands in " + managed.target.folder.string() + " until the server issues",
                  managed.name);
      else if (placed && !placed->detail.empty())
        log_.warning("no placeholder: " + placed->detail, managed.name);
    }
    servable();
    return key;
  });

  log_.info("ordering a certificate from " + managed.server_name, managed.name);
  const std::unique_ptr<Transport> transport = managed.connect();
  IssueRequest request;
  request.identifiers = managed.identifiers;
  request.pending_order = pending ? pending->order_url : "";
  request.progress = [&](std::string_view step) { log_.progress(step, managed.name); };
  std::string order_url;
  request.key = [&](const std::string& url, bool refused) {
    order_url = url;
    const PrivateKey key = refused ? PrivateKey::generate(managed.key_type) : chosen.get();
    state.save_pending({key, managed.server, url, managed.identifiers});
    return key;
  };

  const Account account = account_for(managed);
  Session session(*transport, clock_, managed.server, account.key, account.url);
  if (account.url.empty()) register_account(managed, session, account, stop);
  std::optional<CertifiedKey> pair;
  try {
    pair = issue(session, *managed.solver, clock_, request, stop);
  } catch (const ProblemError& refused) {
    if (refused.problem().type != "accountDoesNotExist") throw;
    log_.warning("the server no longer knows our account; making it again", managed.name);
    register_account(managed, session, account, stop);
    pair = issue(session, *managed.solver, clock_, request, stop);
  }

  const Validity validity = pair->chain.leaf().validity();
  if (pending && order_url == pending->order_url && plan_renewal(validity, spread_of(managed.name)) <= clock_.now()) {
    log_.info("the certificate of that order is too old by now, as it is valid until " +
                  format_rfc3339(validity.not_after) + "; ordering another",
              managed.name);
    request.pending_order.clear();
    pair = issue(session, *managed.solver, clock_, request, stop);
  }
  try {
    check_issued(*pair, managed.identifiers, clock_.now());
  } catch (const Error&) {
    state.save_pending({pair->key, managed.server, "", managed.identifiers});  // the next run orders anew
    throw;
  }
  const Held fresh{*std::move(pair), managed.server, order_url};
  state.hold(fresh);
  state.clear_pending();
  const Certificate& leaf = fresh.pair.chain.leaf();
  log_.info("issued by " + printable(leaf.issuer()) + ", valid until " + format_rfc3339(leaf.validity().not_after) +
                "; next renewal at " + format_rfc3339(plan_renewal(leaf.validity(), spread_of(managed.name))),
            managed.name);
  return fresh;
}

/// The account for the server; new ones have a key on disk, and no URL until the server has been told (RFC 8555 7.3).
Account Renewer::account_for(const Managed& managed) const {
  const std::lock_guard lock(accounts_mutex_);
  if (std::optional<Account> account = accounts_.load(managed.server)) return *std::move(account);
  if (accounts_.set_damaged_key_aside(managed.server))
    log_.warning("the account key for " + managed.server_name +
                     " was damaged and is kept as key.pem.damaged; a new account is made",
                 managed.name);
  const Account account{PrivateKey::generate(KeyType::ec256), "", managed.email};
  accounts_.save(managed.server, account);
  return account;
}

/// Two threads that do this at once get the same account, as they use the same key.
void Renewer::register_account(const Managed& managed, Session& session, const Account& account,
                               const std::stop_token& stop) const {
  const std::string url = session.new_account(managed.email, stop);
  const std::lock_guard lock(accounts_mutex_);
  const std::optional<Account> known = accounts_.load(managed.server);
  if (known && known->url == url) return;
  accounts_.save(managed.server, {account.key, url, managed.email});
  const std::string terms = session.directory(stop).terms_of_service;
  log_.info(
      "account made at " + managed.server_name + (terms.empty() ? "" : ", agreeing to its terms of service: " + terms),
      managed.name);
}

}  // namespace acme_agent
