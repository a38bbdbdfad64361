#include "attempt.hpp"

#include <algorithm>

#include <acme_agent/acme/renewal_info.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr Duration look_every = 24h;
constexpr Duration not_looked_just_now = 1h;
constexpr Duration tell_every = 1h;  // a broker that could not read the files when it was told may be able to now
constexpr Duration look_at_clock_every = 1min;
constexpr int repeated_failures_worth_a_write = 8;  // then a broker that stays away costs the SD card nothing

HeldFacts facts_of(const Held& held, std::string stamp) {
  const Certificate& leaf = held.pair.chain.leaf();
  return {.stamp = std::move(stamp),
          .what = what_of(held.pair.key.type(), leaf.identifiers()),
          .key = held.pair.key.thumbprint(),
          .server = held.server,
          .validity = leaf.validity(),
          .fingerprint = leaf.fingerprint_sha256(),
          .renewal_info_id = renewal_info_id(leaf)};
}

/// A date in the future was written by a clock that was wrong.
void forget_if_after(std::optional<TimePoint>& date, TimePoint now) {
  if (date && *date > now) date.reset();
}

}  // namespace

void Renewer::Attempt::load() {
  CertificateState::Loaded loaded = state.load_record();
  if (!loaded.damaged.empty()) warn(loaded.damaged);
  stored = std::move(loaded.record);
  record = stored;
  record.cert_dir = managed.target.folder;
  record.further_dirs.clear();
  for (const FurtherFolder& further : managed.target.further) record.further_dirs.push_back(further.folder);
  if (!record.held || record.held->stamp != state.held_stamp()) {
    const std::string known = record.held ? record.held->fingerprint : "";
    held = state.held();
    take_facts();
    if (record.held && record.held->fingerprint != known) {  // issued by a run that could not note it
      forget_failures();
      record.deploy = {};
    }
  }
  load_revocation();
  load_superseded();
  load_pending();
  if (record.inputs == inputs_of(managed)) return;
  record.inputs = inputs_of(managed);
  record.last_attempt.reset();
  record.next_attempt.reset();
  forget_failures();
}

void Renewer::Attempt::forget_failures() {
  record.failures = 0;
  record.interrupted = 0;
  record.last_error.clear();
  record.servers.clear();
}

void Renewer::Attempt::take_facts() {
  record.deploy.stamp.clear();  // it was of the pair before
  record.held.reset();
  if (held) record.held = facts_of(*held, state.held_stamp());
}

void Renewer::Attempt::load_held() {
  if (!held && record.held) held = state.held();
  if (!held) record.held.reset();  // the files were taken away meanwhile
}

/// What somebody has revoked, or knows to be compromised, is due at once.
void Renewer::Attempt::load_revocation() {
  try {
    revocation = state.revocation();
  } catch (const Error& error) {  // better a key that may be known than a certificate that ends
    warn(error.message());
  }
  if (!record.held) return;
  const bool named = revocation && revocation->confirmed && revocation->fingerprint == record.held->fingerprint;
  record.held->revoked = named || (revocation && revocation->compromised_keys.contains(record.held->key));
}

/// Our own authority may have rolled over, or be another one; asked once a day, as it takes some parsing.
void Renewer::Attempt::load_superseded() {
  const AcmeServer* server = record.held ? managed.server_at(record.held->server) : nullptr;
  if (server == nullptr || !server->own) return;
  if (!wish.look && !wish.now && !record.held->superseded && !daily_look_is_due()) return;
  try {
    if (!held) held = state.held();
    if (held) record.held->superseded = !server->own->issues_with(held->pair.chain, now());
  } catch (const std::exception& error) {  // it says the same when it is to issue
    renewer.log_.debug(error.what(), managed.name);
  }
}

/// The key that is chosen and the orders under way, if they are still what is wanted.
void Renewer::Attempt::load_pending() {
  pending = state.pending();
  if (!pending || pending->orders.empty()) return;
  load_held();
  const auto done = held ? pending->orders.find(held->server) : pending->orders.end();
  if (done != pending->orders.end() && done->second == held->order_url) {  // before a crash
    state.clear_pending();
    pending.reset();
  } else if (!is_wanted(pending->key) || !same_names(pending->identifiers, managed.identifiers)) {
    pending->orders.clear();
  }
}

bool Renewer::Attempt::is_wanted(const PrivateKey& key) const {
  return key.type() == managed.key_type && !is_compromised(key) &&
         (managed.key_thumbprint.empty() || key.thumbprint() == managed.key_thumbprint);
}

std::optional<Validity> Renewer::Attempt::validity() const {
  if (!record.held) return std::nullopt;
  return record.held->validity;
}

bool Renewer::Attempt::pair_lies() const {
  return Renewer::pair_lies(managed.target, record);
}

void Renewer::Attempt::doubt_clock() {
  std::optional<TimePoint> last_known = record.last_attempt;
  if (record.deploy.last_look && (!last_known || *last_known < *record.deploy.last_look))
    last_known = record.deploy.last_look;
  // Where no server can be asked, what was noted may be of a clock that was ahead, and who uses force knows the time.
  const bool alone = nobody_knows_the_time();
  std::optional<TimePoint> begins;
  if (record.held && !(alone && wish.force)) begins = record.held->validity.not_before;
  std::optional<std::string> why = why_clock_is_wrong(now(), renewer.built_, last_known, begins);
  const std::optional<std::string> refuted = renewer.why_clock_was_refuted();
  if (!why) why = refuted;
  if (!why) return renewer.trust_clock(managed.name);
  const bool was_ahead = alone && !refuted && !why_clock_is_wrong(now(), renewer.built_, std::nullopt, begins);
  if (was_ahead) warn(*why + "; as nobody can be asked the time, the clock is believed as it is now");
  if (was_ahead || clock_is_confirmed(nullptr)) {
    if (record.last_attempt && *record.last_attempt > now()) forget_failures();
    forget_if_after(record.last_attempt, now());
    forget_if_after(record.deploy.last_look, now());
    forget_if_after(record.deploy.last_told, now());
    return renewer.trust_clock(managed.name);
  }
  if (alone && !refuted && now() >= renewer.built_)
    *why += "; if the clock is right, 'acme-agent renew " + managed.name + " --force' replaces that certificate";
  doubt = *why + advice_on_clock;
  renewer.doubt_clock(managed.name, *why);
}

/// There is no server whose clock could be asked.
bool Renewer::Attempt::nobody_knows_the_time() const {
  return std::all_of(managed.servers.begin(), managed.servers.end(),
                     [](const auto& server) { return server->own.has_value(); });
}

/// By the clock of any server but this one.
bool Renewer::Attempt::clock_is_confirmed(const AcmeServer* but) const {
  return std::any_of(managed.servers.begin(), managed.servers.end(), [&](const auto& server) {
    return server.get() != but && !server->own && renewer.clock_is_confirmed(*server, stop);
  });
}

void Renewer::Attempt::place_what_there_is() {
  if (pair_lies()) return;
  if (record.held)
    deploy_if_due();
  else
    choose_key_and_placeholder();
}

/// All was well, and the next look is due before the server is asked again: so it is taken while we are awake.
bool Renewer::Attempt::look_would_wake_us() const {
  const TimePoint last = record.deploy.last_told.value_or(now());
  const TimePoint next_pass = record.advice.next_check.value_or(now());
  return record.deploy.ok && last + not_looked_just_now <= now() && last + look_every < next_pass;
}

bool Renewer::Attempt::daily_look_is_due() const {
  const std::optional<TimePoint>& last = record.deploy.last_told;
  return !last || *last + look_every <= now() || *last > now();
}

void Renewer::Attempt::deploy_if_due() {
  if (!record.held) return;
  Record::Deploy& deploy = record.deploy;
  const bool retry = deploy.next_attempt && *deploy.next_attempt <= now();
  const bool daily = daily_look_is_due() || look_would_wake_us();
  const bool full = issued || daily || (!looked && (wish.look || wish.now));
  if (!full && !retry) return;
  // What broke the handshakes would break them again: once a day is often enough, or when somebody asks for it.
  if (deploy.rejected == record.held->fingerprint && !wish.now && !wish.tell && !daily) return;
  // Clients would refuse what is not valid yet; where nothing else lies, the broker can at least start.
  if (record.held->validity.not_before > now() && pair_lies()) {
    deploy.next_attempt = record.held->validity.not_before;
    return;
  }
  const bool nobody_to_ask = managed.target.probes.empty() && managed.target.reloaders.empty() &&
                             (managed.target.clients == nullptr || !managed.target.clients->exists());
  if (nobody_to_ask && !retry && !issued && !daily && !wish.now && deploy.ok && !deploy.stamp.empty() &&
      deploy.stamp == Deployer::stamp(managed.target))
    return;

  load_held();
  if (!held) return;
  if (leave_as_devices_refuse()) return;
  looked = true;
  looked_fully = full;
  Effort effort = Effort::look;
  if (full) {
    effort = wish.force && issued ? Effort::force : Effort::full;
    deploy.last_told = now();
  } else if (*deploy.last_told + tell_every <= now()) {
    effort = Effort::urge;
  }
  const std::string stamp = wish.look || wish.now ? "" : deploy.stamp;  // who asks has the files read
  const Deployment done =
      Deployer(renewer.clock_, renewer.log_).deploy(managed.target, held->pair, effort, stop, stamp);
  deploy.last_look = now();
  deploy.ok = done.state == Deployment::State::done;
  deploy.stamp = done.stamp;
  deploy.last_error = done.detail;
  deploy.failures = deploy.ok ? 0 : deploy.failures + 1;
  deploy.next_attempt.reset();
  if (!deploy.ok)
    deploy.next_attempt =
        done.next.value_or(now() + wait_after_deployment(deploy.failures, done.state != Deployment::State::waiting));
  deploy.rejected.clear();
  if (done.rolled_back) {
    deploy.rejected = record.held->fingerprint;
    deploy.next_attempt = now() + look_every;
  }
  record.served.clear();
  for (const Seen& seen : done.seen)
    if (seen.ok || !deploy.ok)
      record.served.push_back({seen.endpoint, seen.address, seen.ok, *deploy.last_look, seen.detail});
}

/// What the devices would refuse does not get to the broker.
bool Renewer::Attempt::leave_as_devices_refuse() {
  if (managed.devices == nullptr) return false;
  DeviceTerms terms = *managed.devices;
  if (managed.stands_in(held->server)) terms.roots.reset();  // for those that were told of it, if there are any
  const std::optional<std::string> why = why_devices_refuse(held->pair.chain, terms, now());
  if (!why) return false;
  looked = true;
  looked_fully = true;
  Record::Deploy& deploy = record.deploy;
  deploy.last_told = now();
  deploy.last_look = now();
  deploy.ok = false;
  deploy.stamp.clear();
  deploy.last_error =
      *why + "; the broker is left as it is, and 'acme-agent renew " + managed.name + " --force' orders another chain";
  ++deploy.failures;
  deploy.next_attempt = now() + look_every;
  return true;
}

Outcome Renewer::Attempt::outcome() {
  Outcome outcome;
  outcome.issued = issued;
  outcome.served = record.held && record.deploy.ok;
  outcome.proven = outcome.served && !record.served.empty();
  outcome.problem = !record.last_error.empty() ? record.last_error : record.deploy.last_error;
  if (!doubt.empty()) {
    outcome.problem = doubt;
    outcome.next = now() + look_at_clock_every;
    return outcome;
  }
  const Due due = due_now();
  const bool stands_in = record.held && managed.stands_in(record.held->server);
  outcome.good = usable() && as_wanted(managed, *record.held) && !stands_in && record.failures == 0 && due.when > now();
  if (wish.force && !ordered && !postponed.empty()) {
    outcome.good = false;
    outcome.problem = postponed;
  }
  if (outcome.problem.empty() && record.held && record.held->validity.not_before > now())
    outcome.problem = "the certificate held is not valid before " + format_rfc3339(record.held->validity.not_before) +
                      " by this machine's clock: is the clock right?";
  if (outcome.problem.empty() && !outcome.good && due.when > now())
    outcome.problem = "waiting for its turn at " + due.server->name + " until " + format_rfc3339(due.when);
  record.next_attempt = due.when;
  record.reason = due.reason;
  outcome.next = std::max(due.when, now());
  if (!record.held) return outcome;
  const TimePoint stand_in = stand_in_from(managed, *record.held);
  const bool has_stand_in = std::any_of(managed.servers.begin(), managed.servers.end(),
                                        [&](const auto& server) { return managed.stands_in(server->url); });
  if (has_stand_in && stand_in > now()) outcome.next = std::min(outcome.next, stand_in);
  outcome.next = std::min(outcome.next, record.deploy.next_attempt.value_or(
                                            std::max(record.deploy.last_told.value_or(now()) + look_every, now())));
  const bool advised =
      record.advice.id == record.held->renewal_info_id && managed.server_at(record.held->server) != nullptr;
  if (record.advice.next_check && advised && usable()) outcome.next = std::min(outcome.next, *record.advice.next_check);
  return outcome;
}

void Renewer::Attempt::save() {
  Record rest = record;  // what a look at a broker that stays away changes is not worth a write; all else is
  rest.deploy = stored.deploy;
  rest.served = stored.served;
  rest.next_attempt = stored.next_attempt;
  const bool nothing_new = rest == stored && !looked_fully &&
                           record.deploy.failures > repeated_failures_worth_a_write &&
                           record.deploy.last_error == stored.deploy.last_error;
  if (!nothing_new && record != stored) state.save_record(record);
}

void Renewer::Attempt::tell(const Outcome& outcome) const {
  if (!doubt.empty()) return;  // told once for all certificates
  const bool asked = wish.look || wish.now;
  const TimePoint next = due_now().when;
  if (record.failures > 0 && ordered)
    renewer.log_.error(record.last_error + "; next try at " + format_rfc3339(next) + held_until(), managed.name);
  else if (record.failures > 0 && asked)
    renewer.log_.error("not tried again before " + format_rfc3339(next) + held_until() + "; the last try: " +
                           record.last_error + (wish.now ? "" : "; 'acme-agent renew " + managed.name + "' tries now"),
                       managed.name);
  else if (asked && record.deploy.ok && !outcome.problem.empty())
    warn(outcome.problem);
  else if (wish.now && !ordered && postponed.empty())
    info("not due before " + format_rfc3339(next) + "; --force renews all the same");
  if (!looked) return;
  const std::string& error_before = stored.deploy.last_error;
  if (!record.deploy.ok && (asked || issued || record.deploy.last_error != error_before)) {
    const bool asks = record.deploy.last_error.ends_with('?');
    warn(record.deploy.last_error + (asks ? " Looking" : "; looking") + " again at " +
         format_rfc3339(*record.deploy.next_attempt));
  }
  if (outcome.served && (asked || issued || !error_before.empty()))
    info("in place in " + managed.target.folder + served() + "; next renewal at " + format_rfc3339(next));
}

std::string Renewer::Attempt::held_until() const {
  if (!record.held) return "";
  const TimePoint end = record.held->validity.not_after;
  return "; the certificate held " + std::string(end < now() ? "ended" : "ends") + " at " + format_rfc3339(end);
}

std::string Renewer::Attempt::served() const {
  std::vector<std::string> endpoints;
  for (const Served& seen : record.served) endpoints.push_back(seen.endpoint + " (" + seen.address + ")");
  return endpoints.empty() ? "; no broker was looked at" : " and served by " + join(endpoints);
}

}  // namespace acme_agent
