#include <algorithm>
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

/// The time between two polls of one resource: what the server says, else doubling from a few milliseconds.
class Pace {
 public:
  explicit Pace(Clock& clock) : clock_(clock), deadline_(clock.uptime() + patience) {}

  /// Sleeps until the next poll makes sense. Throws Error when the patience is over.
  void wait(const std::optional<TimePoint>& retry_after, std::string_view for_what, const std::stop_token& stop) {
    const Duration left = deadline_ - clock_.uptime();
    if (left <= 0ms)
      throw Error(Remedy::retry,
                  std::string(for_what) + " took more than " + describe(patience) + "; the next try goes on with it");
    const Duration asked = retry_after ? *retry_after - clock_.now() : 0ms;
    if (asked > left)
      throw Error(Remedy::wait,
                  "the server wants to be asked for " + std::string(for_what) + " again only in " + describe(asked),
                  retry_after);
    if (!clock_.sleep_for(std::min(std::max(asked, step_), left), stop)) throw Stopped{};
    step_ = std::min<Duration>(step_ * 2, 5s);
  }

 private:
  Clock& clock_;
  const Duration deadline_;
  Duration step_ = 1ms;
};

/// The order of an earlier run, if it can still lead somewhere.
std::optional<Order> pick_up(Session& session, const IssueRequest& request, const std::stop_token& stop) {
  if (request.pending_order.empty()) return std::nullopt;
  try {
    Order order = session.order(request.pending_order, stop).value;
    if (order.status == Status::invalid || !same_names(order.identifiers, request.identifiers)) return std::nullopt;
    request.progress("going on with the order of an earlier run");
    return order;
  } catch (const ProblemError& refused) {
    const int status = refused.problem().status;
    if (status >= 500 || status == 408 || status == 429) throw;
    return std::nullopt;  // the server has forgotten it
  }
}

/// Shows an answer for everything that the server has not validated yet; nothing is sent before all of them stand.
std::vector<Attempt> present_all(Session& session, Solver& solver, const Order& order, const std::stop_token& stop) {
  if (order.authorizations.size() > order.identifiers.size())
    throw Error(Remedy::retry, "the server wants more authorizations than there are names");
  std::vector<Attempt> attempts;
  for (const std::string& url : order.authorizations) {
    const Authorization authorization = session.authorization(url, stop);
    if (authorization.status == Status::valid) continue;
    const auto challenge =
        std::find_if(authorization.challenges.begin(), authorization.challenges.end(),
                     [&](const Challenge& offered) { return offered.type == solver.type() && !offered.token.empty(); });
    if (challenge == authorization.challenges.end())
      throw Error(Remedy::ask_operator,
                  "the server offers no " + solver.type() + " challenge for " + authorization.identifier.value);
    if (challenge->status == Status::valid) continue;
    attempts.push_back(
        {url, *challenge,
         solver.present({authorization.identifier, challenge->token, session.key_authorization(*challenge)}, stop)});
  }
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

Order place_order(Session& session, const IssueRequest& request, const std::stop_token& stop) {
  if (request.replaces.empty() || session.directory(stop).renewal_info.empty())
    return session.new_order(request.identifiers, "", stop);
  try {
    return session.new_order(request.identifiers, request.replaces, stop);
  } catch (const ProblemError& refused) {
    if (!asking_again_may_help(refused)) throw;
    request.progress("the server does not let this order replace the certificate held; ordering without that");
  }
  return session.new_order(request.identifiers, "", stop);
}

/// Why the server would not validate: the error of each challenge that failed, by name.
ValidationError why_invalid(Session& session, const Order& order, const std::stop_token& stop) {
  std::vector<std::string> reasons;
  std::vector<Identifier> names;
  for (const std::string& url : order.authorizations) {
    const Authorization authorization = session.authorization(url, stop);
    for (const Challenge& challenge : authorization.challenges)
      if (challenge.error) reasons.push_back(authorization.identifier.value + ": " + challenge.error->sentence());
    if (authorization.status == Status::invalid) names.push_back(authorization.identifier);
  }
  if (reasons.empty() && order.error) reasons.push_back(order.error->sentence());
  if (reasons.empty()) reasons.push_back("it does not say why");
  return {"the server could not validate " + join(reasons), std::move(names)};
}

/// Polls the order, which turns ready with the last authorization, rather than each authorization.
Order await_ready(Session& session, Clock& clock, const std::vector<Attempt>& attempts, Order order,
                  const std::stop_token& stop) {
  const Duration expected_by = clock.uptime() + visit_expected_in;
  for (const Attempt& attempt : attempts)
    attempt.presentation->wait_for_visit(0, std::max<Duration>(expected_by - clock.uptime(), 0ms), stop);
  Pace pace(clock);
  for (;;) {
    Polled<Order> polled = session.order(order.url, stop);
    order = std::move(polled.value);
    if (order.status == Status::invalid) throw why_invalid(session, order, stop);
    if (order.status != Status::pending) return order;
    pace.wait(polled.retry_after, "the validation", stop);
  }
}

Polled<Order> finalize(Session& session, const Order& order, const IssueRequest& request, PrivateKey& key,
                       const std::stop_token& stop) {
  try {
    return session.finalize(order, make_csr(key, request.identifiers), stop);
  } catch (const ProblemError& refused) {
    if (refused.problem().type == "orderNotReady") return session.order(order.url, stop);
    if (refused.problem().type != "badPublicKey") throw;
  }
  key = request.key(order.url, true);
  return session.finalize(order, make_csr(key, request.identifiers), stop);
}

}  // namespace

CertifiedKey issue(Session& session, Solver& solver, Clock& clock, const IssueRequest& request,
                   const std::stop_token& stop) {
  std::optional<Order> picked_up = pick_up(session, request, stop);
  Order order = picked_up ? *std::move(picked_up) : place_order(session, request, stop);

  if (order.status == Status::pending) {
    request.progress("showing the answers to the challenges");
    const std::vector<Attempt> attempts = present_all(session, solver, order, stop);
    for (const Attempt& attempt : attempts) respond(session, attempt, stop);
    request.progress("the server validates");
    order = await_ready(session, clock, attempts, std::move(order), stop);
  }  // the answers come down here

  PrivateKey key = request.key(order.url, false);
  request.progress("the server issues");
  Pace pace(clock);
  while (order.status != Status::valid) {
    if (order.status == Status::invalid) throw why_invalid(session, order, stop);
    Polled<Order> polled =
        order.status == Status::ready ? finalize(session, order, request, key, stop) : session.order(order.url, stop);
    order = std::move(polled.value);
    if (order.status != Status::valid && order.status != Status::invalid)
      pace.wait(polled.retry_after, "the issuance", stop);
  }
  return {key, session.download(order, stop)};
}

}  // namespace acme_agent
