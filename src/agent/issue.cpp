#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include <acme_agent/agent/issue.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr Duration patience = 5min;         // for validation, and again for issuance
constexpr Duration visit_expected_in = 3s;  // after that the first poll is due, visit or not

/// An answer that stands, and the challenge that it is for.
struct Attempt {
  std::string authorization;  ///< URL.
  Challenge challenge;
  std::unique_ptr<Presentation> presentation;
};

/// For a name, the place of a solver among all.
using Turns = std::map<Identifier, std::size_t>;

/// The time between two polls of one resource: what the server says, else doubling from `step` to five seconds.
class Pace {
 public:
  Pace(Clock& clock, std::string server, Duration step)
      : clock_(clock), server_(std::move(server)), deadline_(clock.uptime() + patience), step_(step) {}

  /// Sleeps until the next poll makes sense. Throws Error when the patience is over.
  void wait(const std::optional<TimePoint>& retry_after, std::string_view for_what, const std::stop_token& stop) {
    const Duration left = deadline_ - clock_.uptime();
    if (left <= 0ms)
      throw Error(Remedy::retry, std::string(for_what) + " by " + server_ + " took more than " + describe(patience) +
                                     "; the next try goes on with it");
    const Duration asked = retry_after ? *retry_after - clock_.now() : 0ms;
    if (asked > left)
      throw Error(Remedy::wait,
                  server_ + " wants to be asked for " + std::string(for_what) + " again only in " + describe(asked),
                  retry_after);
    if (!clock_.sleep_for(std::min(std::max(asked, step_), left), stop)) throw Stopped{};
    step_ = std::min<Duration>(step_ * 2, 5s);
  }

 private:
  Clock& clock_;
  const std::string server_;
  const Duration deadline_;
  Duration step_;
};

/// The order of an earlier run, if it can still lead somewhere.
std::optional<Order> pick_up(Session& session, const IssueRequest& request, const std::stop_token& stop) {
  if (request.pending_order.empty()) return std::nullopt;
  try {
    Order order = session.order(request.pending_order, stop).value;
    if (order.status == Status::invalid || !same_names(order.identifiers, request.identifiers)) return std::nullopt;
    if (!request.profile.empty() && !order.profile.empty() && order.profile != request.profile) return std::nullopt;
    request.progress("going on with the order of an earlier run");
    return order;
  } catch (const ProblemError& refused) {
    const int status = refused.problem().status;
    if (status >= 500 || status == 408 || status == 429) throw;
    return std::nullopt;  // the server has forgotten it
  }
}

const Challenge* find_offered(const Authorization& authorization, const Solver& solver) {
  const auto& offered = authorization.challenges;
  const auto found = std::find_if(offered.begin(), offered.end(), [&](const Challenge& challenge) {
    return challenge.type == solver.type() && (!challenge.token.empty() || !challenge.issuer_domain_names.empty());
  });
  return found == offered.end() ? nullptr : &*found;
}

/// None of our solvers can answer what the server offers.
Error nothing_offered(const std::string& server, const Authorization& authorization, const Solvers& solvers) {
  constexpr std::size_t most_named = 8;
  const Identifier& identifier = authorization.identifier;
  std::vector<std::string> ours;
  for (const auto& solver : solvers) ours.push_back(solver->type());
  std::vector<std::string> offered;
  for (const Challenge& challenge : authorization.challenges) {
    if (std::find(ours.begin(), ours.end(), challenge.type) != ours.end())
      return {Remedy::retry, server + " sent a challenge " + challenge.type + " for " + identifier.value +
                                 " that cannot be answered, as its token, status or URL is none of RFC 8555's"};
    if (offered.size() < most_named) offered.push_back(printable(challenge.type, 40));
  }
  return {Remedy::ask_operator, server + " offers no " + join(ours) + " challenge for " + identifier.value +
                                    (offered.empty() ? "" : ", but " + join(offered)) + ": " +
                                    std::string(how_to_prove(identifier))};
}

/// A name that the server has not validated yet, and the solvers that can answer for it, the one whose turn it is
/// first.
struct Unproven {
  Authorization authorization;
  std::vector<std::size_t> ways;
};

std::vector<Unproven> find_unproven(Session& session, const Solvers& solvers, const Order& order, const Turns& turns,
                                    const std::stop_token& stop) {
  if (order.authorizations.size() > order.identifiers.size())
    throw Error(Remedy::retry, session.server() + " wants more authorizations than there are names");
  std::vector<Unproven> all;
  for (const std::string& url : order.authorizations) {
    Unproven one{session.authorization(url, stop), {}};
    if (one.authorization.status == Status::valid) continue;
    const auto turn = turns.find(one.authorization.identifier);
    for (std::size_t i = turn == turns.end() ? 0 : turn->second; i < solvers.size(); ++i)
      if (find_offered(one.authorization, *solvers[i]) != nullptr) one.ways.push_back(i);
    if (one.ways.empty()) throw nothing_offered(session.server(), one.authorization, solvers);
    if (find_offered(one.authorization, *solvers[one.ways.front()])->status == Status::valid) continue;
    all.push_back(std::move(one));
  }
  return all;
}

/// What is shown for the name at `place`, if it is by the solver at `way`.
ChallengeAnswer answer_for(const std::vector<Unproven>& all, std::size_t place, std::size_t way,
                           const Challenge& challenge, const Session& session) {
  ChallengeAnswer answer{all[place].authorization.identifier, challenge.token, session.key_authorization(challenge)};
  answer.issuers = challenge.issuer_domain_names;
  answer.account_url = session.account_url();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].ways.front() != way && i != place) continue;
    answer.together.push_back(all[i].authorization.identifier);
    if (i > place) ++answer.remaining;
  }
  return answer;
}

/// Shows the first answer that can be shown.
Attempt present_one(Session& session, const Solvers& solvers, const std::vector<Unproven>& all, std::size_t place,
                    Turns& next, const IssueRequest& request, const std::stop_token& stop) {
  const auto& [authorization, ways] = all[place];
  std::optional<Error> trouble;
  for (std::size_t i = 0; i < ways.size(); ++i) {
    Solver& solver = *solvers[ways[i]];
    const Challenge& challenge = *find_offered(authorization, solver);
    try {
      auto presentation = solver.present(answer_for(all, place, ways[i], challenge, session), stop);
      if (i + 1 < ways.size()) next[authorization.identifier] = ways[i + 1];
      return {authorization.url, challenge, std::move(presentation)};
    } catch (const Error& error) {
      request.progress(error.message());
      const bool hopeless = error.remedy() == Remedy::ask_operator && (!trouble || trouble->remedy() == error.remedy());
      trouble = Error(hopeless ? Remedy::ask_operator : Remedy::retry,
                      trouble ? trouble->message() + "; " + error.message() : error.message());
    }
  }
  throw *trouble;
}

/// Shows an answer for everything that the server has not validated yet; nothing is sent before all of them stand.
/// `next` gets the solver that is left for a name, should this answer not do.
std::vector<Attempt> present_all(Session& session, const Solvers& solvers, const Order& order, const Turns& turns,
                                 Turns& next, const IssueRequest& request, const std::stop_token& stop) {
  const std::vector<Unproven> all = find_unproven(session, solvers, order, turns, stop);
  std::vector<Attempt> attempts;
  for (std::size_t i = 0; i < all.size(); ++i)
    attempts.push_back(present_one(session, solvers, all, i, next, request, stop));
  return attempts;
}

/// Where the server's answer is lost, the repeated request comes to a challenge that is under way already.
void respond(Session& session, const Attempt& attempt, const std::stop_token& stop) {
  try {
    session.respond(attempt.challenge, stop);
  } catch (const ProblemError& refused) {
    if (refused.problem().type != "malformed") throw;
    const Authorization authorization = session.authorization(attempt.authorization, stop);
    const auto ours = std::find_if(authorization.challenges.begin(), authorization.challenges.end(),
                                   [&](const Challenge& one) { return one.url == attempt.challenge.url; });
    if (ours == authorization.challenges.end() || ours->status == Status::pending) throw;
  }
}

/// A refusal that has nothing to do with what the order says would be the same without `replaces`, or would cost more.
bool asking_again_may_help(const ProblemError& refused) {
  const Problem& problem = refused.problem();
  return problem.status != 429 && problem.status != 503 && problem.type != "rateLimited" &&
         problem.type != "badNonce" && problem.type != "accountDoesNotExist" && problem.type != "userActionRequired";
}

/// The profile to ask for: where there are several servers, perhaps not all of them have profiles.
std::string find_profile(Session& session, const IssueRequest& request, const std::stop_token& stop) {
  const std::vector<std::string>& offered = session.directory(stop).profiles;
  if (request.profile.empty() || std::find(offered.begin(), offered.end(), request.profile) != offered.end())
    return request.profile;
  if (!offered.empty())
    throw Error(Remedy::ask_operator, session.server() + " has no profile '" + printable(request.profile) + "', but " +
                                          printable(join(offered), 400) + ": choose one of them with --profile");
  request.progress("the server has no profiles; ordering by its only way");
  return "";
}

Order place_order(Session& session, const IssueRequest& request, const std::stop_token& stop) {
  OrderTerms terms{request.identifiers, request.replaces, find_profile(session, request, stop)};
  if (session.directory(stop).renewal_info.empty()) terms.replaces.clear();
  if (terms.replaces.empty()) return session.new_order(terms, stop);
  try {
    return session.new_order(terms, stop);
  } catch (const ProblemError& refused) {
    if (!asking_again_may_help(refused)) throw;
    request.progress("the server does not let this order replace the certificate held; ordering without that");
  }
  terms.replaces.clear();
  return session.new_order(terms, stop);
}

constexpr std::string_view could_not_validate = "the server could not validate ";

/// Why the server would not validate: the error of each challenge that failed, by name.
ValidationError why_invalid(Session& session, const Order& order, const std::stop_token& stop) {
  std::vector<std::string> reasons;
  std::vector<Identifier> names;
  for (const std::string& url : order.authorizations) {
    const Authorization authorization = session.authorization(url, stop);
    for (const Challenge& challenge : authorization.challenges)
      if (challenge.error)
        reasons.push_back(authorization.identifier.value + " by " + printable(challenge.type, 40) + ": " +
                          challenge.error->sentence(challenge.type));
    if (authorization.status == Status::invalid) names.push_back(authorization.identifier);
  }
  if (reasons.empty() && order.error) reasons.push_back(order.error->sentence());
  if (reasons.empty()) reasons.push_back("it does not say why");
  return {std::string(could_not_validate) + join(reasons), std::move(names)};
}

/// Polls the order, which turns ready with the last authorization, rather than each authorization.
Order await_ready(Session& session, Clock& clock, const std::vector<Attempt>& attempts, Order order,
                  const std::stop_token& stop) {
  const Duration expected_by = clock.uptime() + visit_expected_in;
  bool visited = true;
  for (const Attempt& attempt : attempts)
    visited &= attempt.presentation->wait_for_visit(0, std::max<Duration>(expected_by - clock.uptime(), 0ms), stop);
  Pace pace(clock, session.server(), visited ? 1ms : 50ms);
  for (;;) {
    Polled<Order> polled = session.order(order.url, stop);
    order = std::move(polled.value);
    if (order.status == Status::invalid) throw why_invalid(session, order, stop);
    if (order.status != Status::pending) return order;
    pace.wait(polled.retry_after, "the validation", stop);
  }
}

std::string signing_request(const IssueRequest& request, const PrivateKey& key) {
  return request.csr.empty() ? make_csr(key, request.identifiers) : request.csr;
}

Polled<Order> finalize(Session& session, const Order& order, const IssueRequest& request, PrivateKey& key,
                       const std::stop_token& stop) {
  try {
    return session.finalize(order, signing_request(request, key), stop);
  } catch (const ProblemError& refused) {
    if (refused.problem().type == "orderNotReady") return session.order(order.url, stop);
    if (refused.problem().type != "badPublicKey") throw;
  }
  key = request.key(order.url, true);
  return session.finalize(order, signing_request(request, key), stop);
}

/// One order, whatever comes of it. `turns` says with which solver to begin, `next` which one is left.
CertifiedKey work_on_order(Session& session, const Solvers& solvers, Clock& clock, const IssueRequest& request,
                           const Turns& turns, Turns& next, const std::stop_token& stop) {
  std::optional<Order> picked_up = pick_up(session, request, stop);
  Order order = picked_up ? *std::move(picked_up) : place_order(session, request, stop);

  if (order.status == Status::pending) {
    request.progress("showing the answers to the challenges");
    const std::vector<Attempt> attempts = present_all(session, solvers, order, turns, next, request, stop);
    for (const Attempt& attempt : attempts) attempt.presentation->await_shown(stop);
    for (const Attempt& attempt : attempts) respond(session, attempt, stop);
    request.progress("the server validates");
    order = await_ready(session, clock, attempts, std::move(order), stop);
  }  // the answers come down here

  PrivateKey key = request.key(order.url, false);
  request.progress("the server issues");
  Pace pace(clock, session.server(), 1ms);
  while (order.status != Status::valid) {
    if (order.status == Status::invalid) throw why_invalid(session, order, stop);
    Polled<Order> polled =
        order.status == Status::ready ? finalize(session, order, request, key, stop) : session.order(order.url, stop);
    order = std::move(polled.value);
    if (order.status != Status::valid && order.status != Status::invalid)
      pace.wait(polled.retry_after, "the issuance", stop);
  }
  return {key, session.download(order, request.wanted, stop)};
}

}  // namespace

CertifiedKey issue(Session& session, const Solvers& solvers, Clock& clock, IssueRequest request,
                   const std::stop_token& stop) {
  Turns turns;
  std::string failures;  // of all orders
  for (std::size_t orders = 1;; ++orders) {
    Turns next;
    try {
      return work_on_order(session, solvers, clock, request, turns, next, stop);
    } catch (const ValidationError& failed) {
      const std::vector<Identifier>& names = failed.names();
      const bool another_way =
          orders < solvers.size() && !names.empty() &&
          std::all_of(names.begin(), names.end(), [&](const auto& name) { return next.contains(name); });
      failures += failures.empty() ? failed.message() : "; nor " + failed.message().substr(could_not_validate.size());
      if (!request.validation_failed(failed, another_way) || !another_way) throw ValidationError(failures, names);
      for (const Identifier& name : names) turns[name] = next[name];
      request.pending_order.clear();
    }
  }
}

}  // namespace acme_agent
