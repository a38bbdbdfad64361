// Of one renewal, what has to do with the server.

#include <algorithm>
#include <future>
#include <map>
#include <mutex>
#include <utility>

#include <acme_agent/acme/renewal_info.hpp>
#include <acme_agent/agent/key_rollover.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/file.hpp>

#include "attempt.hpp"

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr Duration longest_asked_wait = 7 * 24h;  // no limit of a real server lasts longer: what does is a mistake
constexpr Duration wait_for_a_mistake = 24h;
constexpr Duration shortest_asked_wait = 1min;
constexpr int believed_waits = 2;
constexpr std::size_t longest_error = 4000;  // bytes of a server's explanations
constexpr Duration check_advice_every = 6h;  // where the server does not say
constexpr Duration shortest_check = 1min;
constexpr Duration longest_check = 24h;

/// The server's and our clock do not agree: nothing is ordered, and nobody is to blame but the clock.
class ClockIsWrong final : public Error {
 public:
  explicit ClockIsWrong(const std::string& why) : Error(Remedy::retry, why) {}
};

bool is_temporary(const Error& error) {
  const auto* refused = dynamic_cast<const ProblemError*>(&error);
  if (refused == nullptr) return error.remedy() == Remedy::retry;
  const int status = refused->problem().status;
  return status >= 500 || status == 429 || status == 408;
}

/// RFC 8555 7.3.6: whether the server lets the account do nothing any more, so that not even it can be looked at.
bool is_deactivated(Session& session, const std::stop_token& stop) {
  try {
    return session.account(stop).status != Status::valid;
  } catch (const ProblemError& refused) {
    return refused.problem().type == "unauthorized";
  }
}

}  // namespace

Transport& Renewer::Attempt::connect(const AcmeServer& server) {
  if (connected_to != &server) {
    directory.reset();
    transport = server.connect();
    connected_to = &server;
  }
  return *transport;
}

const Directory& Renewer::Attempt::directory_of(const AcmeServer& server) {
  Transport& connection = connect(server);
  if (!directory) {
    directory = fetch_directory(connection, renewer.clock_, server.url, stop);
    renewer.know_directory(server, directory);
  }
  return *directory;
}

void Renewer::Attempt::ask_for_advice() {
  if (!usable() || record.held->renewal_info_id.empty()) return;
  const AcmeServer* server = managed.server_at(record.held->server);
  if (server == nullptr || server->own) return;
  RenewalAdvice& advice = record.advice;
  if (advice.id != record.held->renewal_info_id) {
    RenewalAdvice fresh;
    fresh.id = record.held->renewal_info_id;
    fresh.explanation_url = advice.explanation_url;
    fresh.recalled = advice.recalled;
    advice = fresh;
  }
  if (advice.next_check && *advice.next_check > now() && *advice.next_check <= now() + longest_check) return;
  try {
    take_advice(*server);
    advice.failures = 0;
  } catch (const Error& error) {
    renewer.know_directory(*server, std::nullopt);
    ++advice.failures;
    const bool temporary = is_temporary(error);
    if (!temporary) advice.window.reset();
    advice.next_check = now() + wait_for_advice(advice.failures, temporary);
    if (error.not_before())
      advice.next_check = std::clamp(*error.not_before(), *advice.next_check, now() + longest_check);
    renewer.log_.debug("no advice on when to renew: " + error.message(), managed.name);
  }
}

void Renewer::Attempt::take_advice(const AcmeServer& server) {
  RenewalAdvice& advice = record.advice;
  const std::optional<Directory> known = renewer.known_directory(server);
  const Directory& at = known ? *known : directory_of(server);
  if (at.renewal_info.empty()) {
    advice.window.reset();
    advice.next_check = now() + longest_check;
    return;
  }
  const Polled<RenewalInfo> info = fetch_renewal_info(connect(server), renewer.clock_, at, advice.id, stop);
  // RFC 9773 4.3: neither sooner nor later, within reason.
  advice.next_check =
      std::clamp(info.retry_after.value_or(now() + check_advice_every), now() + shortest_check, now() + longest_check);
  if (advice.window && *advice.window != info.value.suggested)
    renewer.log_.info(server.name + " has moved the time for the renewal: it suggests " +
                          format_rfc3339(info.value.suggested.start) + " to " +
                          format_rfc3339(info.value.suggested.end),
                      managed.name);
  if (is_recall(record, info.value.suggested, now())) advice.recalled = now();
  advice.window = info.value.suggested;
  const std::string explanation = printable(info.value.explanation_url);
  if (explanation == advice.explanation_url) return;
  advice.explanation_url = explanation;
  if (!explanation.empty()) warn(server.name + " explains when it wants this certificate renewed: see " + explanation);
}

/// An order of an earlier run that this server may still know.
bool Renewer::Attempt::is_under_way(const AcmeServer& server) const {
  return pending && pending->orders.contains(server.url);
}

Due Renewer::Attempt::due_now() const {
  const Due due = next_order(managed, record, now());
  if (record.failures > 0) return due;
  for (const auto& server : managed.servers)
    if (is_under_way(*server)) return {now(), Reason::retry, server.get()};
  return due;
}

void Renewer::Attempt::order_while_due(const std::function<void()>& servable) {
  for (std::size_t i = 0; i < managed.servers.size(); ++i) {
    if (!order_if_due(servable)) return;
    const Due next = due_now();
    if (next.when > now()) return;
    warn(record.last_error + "; now " +
         (next.server->own ? "our own authority issues" : "asking " + next.server->name));
  }
}

/// True if it failed, so that another server may be due now.
bool Renewer::Attempt::order_if_due(const std::function<void()>& servable) {
  Due due = due_now();
  const AcmeServer& server = *due.server;
  const Standing standing = standing_with(server, record);
  if (standing.not_before && *standing.not_before > now() && *standing.not_before <= now() + longest_asked_wait) {
    if (wish.now && !ordered)
      warn(server.name + " asked not to be asked before " + format_rfc3339(*standing.not_before));
    return false;
  }
  if (wish.force && !ordered)
    due = {now(), Reason::forced, &server};
  else if (wish.now && !ordered && due.reason == Reason::retry)
    due.when = now();
  if (due.when > now()) return false;

  try {
    if (!wish.force && is_staging(server.url) && usable() && !is_staging(record.held->server))
      throw Error(Remedy::ask_operator, server.name +
                                            " issues for tests only, and the certificate held is a real one "
                                            "that stays: choose another --server, or renew with --force");
    load_held();
    std::shared_future<PrivateKey> chosen;
    if (!server.own) {
      // The key is made beside the network, and the placeholder stands as soon as there is a key.
      chosen = std::async(std::launch::async, [&] {
        const PrivateKey key = choose_key_and_placeholder();
        servable();
        return key;
      });
      if (!may_order_at(server)) return false;
    }

    ordered = true;
    record.last_attempt = now();
    record.reason = due.reason;
    record.servers[server.url].turn.reset();
    ++record.interrupted;
    state.save_record(record);  // where this is not possible, nothing is ordered
    stored = record;
    if (server.own)
      obtain_from_own(server);
    else
      obtain(server, chosen);
    issued = true;
    record.interrupted = 0;
    if (!managed.stands_in(server.url)) forget_failures();
    record.deploy = {};
    return false;
  } catch (const ClockIsWrong& error) {
    renewer.refute_clock(managed.name, server, error.message());
    doubt = error.message() + advice_on_clock;
    return false;
  } catch (const Error& error) {
    ordered = true;
    record.last_attempt = now();
    note_failure(server, error);
    load_pending();  // a key was chosen, perhaps
    return true;
  }
}

/// One of two clocks is wrong: ours, unless another server's says the same.
void Renewer::Attempt::blame_clock(const AcmeServer& server, const std::string& why) const {
  if (clock_is_confirmed(&server)) throw Error(Remedy::retry, why + ", while another server's agrees with ours");
  throw ClockIsWrong(why);
}

/// Whether the server's clock agrees with ours, and its limits have room.
bool Renewer::Attempt::may_order_at(const AcmeServer& server) {
  if (const std::optional<TimePoint> date = directory_of(server).date)
    if (const std::optional<std::string> why = why_clock_is_wrong(now(), *date)) blame_clock(server, *why);
  if (is_under_way(server) || its_turn(server)) return true;
  if (wish.force || wish.now)
    postponed = "nothing was ordered, as a rate limit of " + server.name + " would be met: ask again at " +
                format_rfc3339(*record.servers[server.url].turn);
  return false;
}

/// Whether the limits of the server have room for our order now.
bool Renewer::Attempt::its_turn(const AcmeServer& server) {
  Standing& standing = record.servers[server.url];
  const TimePoint turn = renewer.limits_.take_turn(server.url, managed.identifiers, standing.turn);
  if (turn <= now()) return true;
  if (standing.turn != turn)
    info("waits for its turn until " + format_rfc3339(turn) + ": before, a rate limit of " + server.name +
         " would be met");
  standing.turn = turn;
  return false;
}

/// Whether another challenge may be tried at once.
bool Renewer::Attempt::note_failed_validation(const AcmeServer& server, const ValidationError& failed,
                                              bool another_way) {
  renewer.limits_.validation_failed(server.url, failed.names());
  if (!another_way || renewer.limits_.take_turn(server.url, managed.identifiers, std::nullopt) > now()) return false;
  warn(failed.message() + "; trying the next challenge");
  return true;
}

/// Where this server has not validated these names yet, or something has failed since.
LookAhead Renewer::Attempt::look_ahead(const AcmeServer& server) {
  const bool in_doubt = !usable() || record.failures > 0 || record.reason == Reason::changed;
  return {in_doubt ? renewer.explain_ : ExplainNames(), managed.identifiers, managed.solvers.front()->type(),
          directory_of(server).caa_identities, [this](const std::string& seen) { warn(seen); }};
}

/// What the DNS has to do with it, to be added to the server's own words.
std::string Renewer::Attempt::seen_from_here(const ValidationError& failed) const {
  if (!renewer.explain_) return {};
  try {
    const std::vector<std::string> sentences =
        renewer.explain_(failed.names(), managed.solvers.back()->type(),
                         directory ? directory->caa_identities : std::vector<std::string>(), stop);
    return sentences.empty() ? "" : "; seen from here, " + join(sentences);
  } catch (const Stopped&) {
    return {};  // the failure is noted all the same
  }
}

void Renewer::Attempt::note_failure(const AcmeServer& server, const Error& error) {
  ++record.failures;
  record.interrupted = 0;
  const auto* invalid = dynamic_cast<const ValidationError*>(&error);
  record.last_error = printable(error.message() + (invalid != nullptr ? seen_from_here(*invalid) : ""), longest_error);
  if (managed.servers.size() > 1) record.last_error = server.name + ": " + record.last_error;
  Standing& standing = record.servers[server.url];
  // A makeshift goes soon after the server is back; one that refuses is not asked more often for that.
  const bool away = invalid == nullptr && is_temporary(error);
  const int highest = away && record.held && managed.stands_in(record.held->server) ? last_step - 1 : last_step;
  standing.step = error.remedy() == Remedy::ask_operator ? last_step : std::min(standing.step + 1, highest);
  standing.turn.reset();
  standing.not_before = error.not_before();
  const Duration ladder = wait_after_failure(standing.step, validity(), now());
  standing.next_attempt = now() + ladder;
  if (!standing.not_before) return;
  if (*standing.not_before > now() + longest_asked_wait) standing.not_before = now() + wait_for_a_mistake;
  // A server that names a moment is asked again at that moment; one that does so again and again only by our ladder.
  if (standing.step <= believed_waits) standing.next_attempt = now() + std::min(ladder, shortest_asked_wait);
  standing.next_attempt = std::max(*standing.next_attempt, *standing.not_before);
}

PrivateKey Renewer::Attempt::operators_key() const {
  PrivateKey key = read_key_file(managed);
  if (is_compromised(key))
    throw Error(Remedy::ask_operator, "the key in " + printable(managed.key_file) +
                                          " was revoked as compromised: put another one there and reload acme-agent "
                                          "(SIGHUP)");
  if (!is_wanted(key))
    throw Error(Remedy::ask_operator, "the key in " + printable(managed.key_file) +
                                          " is another one than when the configuration was read: reload acme-agent "
                                          "(SIGHUP) if it shall be used");
  return key;
}

PrivateKey Renewer::Attempt::choose_key() const {
  if (pending && !pending->orders.empty()) return pending->key;
  if (!managed.key_file.empty()) return operators_key();
  if (const std::optional<PrivateKey> chosen = state.chosen_key(); chosen && is_wanted(*chosen)) return *chosen;
  if (managed.reuse_key && held && is_wanted(held->pair.key)) return held->pair.key;
  if (pending && is_wanted(pending->key)) return pending->key;
  PrivateKey key = PrivateKey::generate(managed.key_type);
  state.save_pending({key, managed.identifiers, {}});
  return key;
}

PrivateKey Renewer::Attempt::choose_key_and_placeholder() const {
  const PrivateKey key = choose_key();
  place_placeholder(key);
  return key;
}

void Renewer::Attempt::place_placeholder(const PrivateKey& key) const {
  if (!managed.placeholder || usable()) return;
  const std::optional<Deployment> placed =
      Deployer(renewer.clock_, renewer.log_).deploy_placeholder(managed.target, key, stop);
  if (placed && placed->switched)
    info("a self-signed placeholder stands in " + managed.target.folder + " until the server issues");
  else if (placed && !placed->detail.empty())
    warn("no placeholder: " + placed->detail);
}

CertifiedKey Renewer::Attempt::issue_with_account(const AcmeServer& server, const IssueRequest& request) {
  // Some servers stumble over the same new account made twice at once.
  std::unique_lock registering(renewer.registering_mutex_);
  const Account account = KeyRollover(renewer.accounts_, connect(server), renewer.clock_, directory_of(server))
                              .settle(renewer.account_for(managed, server), stop);
  Session session(connect(server), renewer.clock_, directory_of(server), account.key, account.url);
  const std::string account_url =
      account.url.empty() ? renewer.register_account(managed, server, session, account, stop) : account.url;
  registering.unlock();
  try {
    return issue(session, managed.solvers, renewer.clock_, request, stop);
  } catch (const ProblemError& refused) {
    if (refused.problem().type == "unauthorized" && is_deactivated(session, stop))
      throw Error(Remedy::ask_operator,
                  "the account " + account_url + " is deactivated: \"" + printable(refused.problem().detail, 400) +
                      "\" (unauthorized); stop the agent, set the account aside with 'acme-agent account deactivate "
                      "--server " +
                      server.name + "', and start it again: then 'acme-agent renew " + managed.name +
                      "' makes a new one");
    const bool gone = refused.problem().type == "accountDoesNotExist";
    if (!gone && refused.problem().type != "malformed") throw;
    // RFC 8555 7.3.1: the server finds the account by its key, also where we have noted a wrong URL.
    if (renewer.register_account(managed, server, session, account, stop) == account_url && !gone) throw;
    warn(gone ? "the server no longer knew our account; it was made again"
              : "the server did not know our account by the URL that we had, and has told us the right one");
  }
  return issue(session, managed.solvers, renewer.clock_, request, stop);
}

void Renewer::Attempt::obtain(const AcmeServer& server, const std::shared_future<PrivateKey>& chosen) {
  const LookAhead look = look_ahead(server);
  info("ordering a certificate from " + server.name);
  IssueRequest request;
  request.identifiers = managed.identifiers;
  std::map<std::string, std::string> orders;
  if (pending) orders = pending->orders;
  if (is_under_way(server)) request.pending_order = orders.at(server.url);
  if (held && held->server == server.url) request.replaces = record.held->renewal_info_id;
  request.validation_failed = [&](const ValidationError& failed, bool another_way) {
    return note_failed_validation(server, failed, another_way);
  };
  request.profile = managed.profile;
  request.wanted = [&](const CertificateChain& chain) { return managed.wants(chain, now()); };
  request.csr = managed.csr;
  request.progress = [&](std::string_view step) { renewer.log_.progress(step, managed.name); };
  request.key = [&](const std::string& url, bool refused) {
    if (refused && !managed.key_file.empty())
      throw Error(Remedy::ask_operator, server.name + " does not take the key in " + printable(managed.key_file) +
                                            ": put another one there, or leave --key-file out");
    if (refused) state.clear_chosen_key();
    if (refused) orders.clear();  // those of other servers are for the key before
    orders[server.url] = url;
    const PrivateKey key = refused ? PrivateKey::generate(managed.key_type) : chosen.get();
    state.save_pending({key, managed.identifiers, orders});
    return key;
  };

  CertifiedKey pair = issue_with_account(server, request);
  const Validity validity = pair.chain.leaf().validity();
  if (orders.at(server.url) == request.pending_order && plan_renewal(validity, spread_of(managed.name)) <= now()) {
    info("the certificate of that order is too old by now, as it is valid until " + format_rfc3339(validity.not_after) +
         "; ordering another");
    request.pending_order.clear();
    pair = issue_with_account(server, request);
  }
  renewer.limits_.issued(server.url, managed.identifiers);
  try {
    check_issued(pair, managed.identifiers, now());
  } catch (const Error&) {
    orders.erase(server.url);  // the next run orders anew
    state.save_pending({pair.key, managed.identifiers, orders});
    throw;
  }
  hold(std::move(pair), server, orders.at(server.url));
  const std::string top = held->pair.chain.top();
  if (!managed.preferred_chain.empty() && top != managed.preferred_chain)
    warn(server.name + " offers no chain with '" + printable(managed.preferred_chain) +
         "' at its top; its default one ends at '" + printable(top) + "'");
}

void Renewer::Attempt::obtain_from_own(const AcmeServer& server) {
  const PrivateKey key = choose_key();
  try {
    CertifiedKey pair{key, server.own->issue(key, managed.identifiers, now(), !held || held->server != server.url)};
    check_issued(pair, managed.identifiers, now());
    hold(std::move(pair), server, "");
  } catch (const Error&) {
    place_placeholder(key);
    throw;
  }
  if (managed.stands_in(server.url))
    warn("this certificate is of our own authority, until " + managed.servers.front()->name +
         " issues again: clients refuse it unless they know its root ('acme-agent ca export')");
}

void Renewer::Attempt::hold(CertifiedKey pair, const AcmeServer& server, const std::string& order_url) {
  Held fresh{std::move(pair), server.url, order_url};
  state.hold(fresh);
  held = std::move(fresh);
  const bool goes_on = managed.stands_in(server.url) && pending && !pending->orders.empty();
  if (!goes_on) {
    state.clear_pending();
    pending.reset();
  }
  const std::optional<PrivateKey> of_choice = state.chosen_key();
  if (of_choice && of_choice->thumbprint() == held->pair.key.thumbprint()) state.clear_chosen_key();
  take_facts();
  const Certificate& leaf = held->pair.chain.leaf();
  info("issued by " + printable(leaf.issuer()) + ", valid until " + format_rfc3339(leaf.validity().not_after));
}

}  // namespace acme_agent
