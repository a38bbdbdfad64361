#include <doctest/doctest.h>

#include <algorithm>

#include <acme_agent/agent/planner.hpp>
#include <acme_agent/agent/renewer.hpp>

#include "renewing.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;
using test::Renewing;

namespace {

constexpr Duration day = 24h;

}  // namespace

TEST_CASE("a certificate is renewed at its moment in the window that the server suggests, and says what it replaces") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  const Managed one = t.managed();
  t.renew(one);
  const RenewalAdvice advice = t.record().advice;
  REQUIRE(advice.window.has_value());
  const TimePoint moment = choose_moment(*advice.window, advice.id);
  CHECK(t.record().reason == Reason::ari);
  CHECK(t.record().next_attempt == moment);

  t.clock.set(moment - 1s);
  CHECK_FALSE(t.renew(one).issued);
  t.clock.advance(2s);
  CHECK(t.renew(one).issued);
  const auto requests = t.ca.requests();
  const auto order = std::find_if(requests.rbegin(), requests.rend(),
                                  [](const auto& done) { return done.request.url.ends_with("/new-order"); });
  CHECK(order->payload.find("\"replaces\":\"" + advice.id + "\"") != std::string::npos);
}

TEST_CASE("the server is asked for its advice when it said so, within a minute and a day, and within six hours else") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  const Managed one = t.managed();
  const auto next_check_with = [&](const std::string& retry_after) {
    t.ca.suggest_again_after(retry_after);
    t.clock.advance(day);
    t.renew(one);
    return *t.record().advice.next_check - t.clock.now();
  };
  t.renew(one);
  CHECK(next_check_with("7200") == 2h);
  CHECK(next_check_with("1") == 1min);
  CHECK(next_check_with("9999999") == 24h);
  CHECK(next_check_with("") == 6h);
  const int asked = t.ca.count("/renewal-info");
  t.clock.advance(6h - 1s);
  t.renew(one);
  CHECK(t.ca.count("/renewal-info") == asked);
  t.clock.advance(1s);
  t.renew(one);
  CHECK(t.ca.count("/renewal-info") == asked + 1);
}

TEST_CASE("who is awake to ask for advice takes the look that would be due before the next time, and no other") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  const Managed one = t.managed();
  t.ca.suggest_again_after("86400");
  t.renew(one);
  t.clock.advance(7h);
  t.renew(one, {.now = true});  // looks
  const TimePoint asked = *t.record().advice.next_check;
  t.clock.set(asked);
  t.ca.suggest_again_after("21600");
  CHECK(t.renew(one, {}).next == asked + 6h);
  CHECK(t.record().deploy.last_look < asked);

  t.clock.set(asked + 6h);
  t.ca.suggest_again_after("86400");
  CHECK(t.renew(one, {}).next == asked + 30h);
  CHECK(t.record().deploy.last_look == asked + 6h);
}

TEST_CASE("after a mass revocation the certificate is renewed with the next look at the advice") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  const Managed one = t.managed();
  const Outcome first = t.renew(one);
  t.clock.advance(2 * day);
  t.renew(one);
  t.ca.revoke_all();
  t.clock.set(*t.record().advice.next_check);
  CHECK(t.renew(one).issued);
}

TEST_CASE("a mass revocation on the day of issuance is answered with the next look, and another one the next day") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  const Managed one = t.managed();
  t.renew(one);
  t.ca.revoke_all();
  t.clock.set(*t.record().advice.next_check);
  CHECK(t.renew(one).issued);
  CHECK_FALSE(t.renew(one).issued);

  t.ca.revoke_all();
  const TimePoint issued = t.clock.now();
  t.clock.set(*t.record().advice.next_check);
  CHECK_FALSE(t.renew(one).issued);
  CHECK(t.record().next_attempt == issued + 24h);
  t.clock.set(issued + 24h);
  CHECK(t.renew(one).issued);
}

TEST_CASE("whatever a server has against 'replaces', the order is placed without it") {
  for (const int status : {400, 403, 404, 409, 500}) {
    INFO(status);
    Renewing t;
    t.ca.offer_renewal_info(true);
    const Managed one = t.managed();
    t.renew(one);
    t.ca.refuse_replaces(status, status == 409 ? "alreadyReplaced" : "malformed", "no");
    t.clock.advance(85 * day);
    CHECK(t.renew(one).exit_code() == 0);
    CHECK(t.ca.certificates_issued() == 2);
  }
}

TEST_CASE("a window that makes no sense is none: the share of the lifetime counts") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  t.ca.suggest([](const Validity& validity) { return Window{validity.not_after, validity.not_before}; });
  const Managed one = t.managed();
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(t.record().reason == Reason::lifetime);
  CHECK(*t.record().advice.next_check - t.clock.now() == 6h);
}

TEST_CASE("a server that is away costs no advice that was given, and is asked again soon") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  const Managed one = t.managed();
  t.renew(one);
  const RenewalAdvice before = t.record().advice;
  t.clock.set(*before.next_check);
  t.ca.go_down();
  CHECK(t.renew(one).exit_code() == 0);
  CHECK(t.record().advice.window == before.window);
  CHECK(*t.record().advice.next_check - t.clock.now() == 1min);
}

TEST_CASE("for its advice a server is asked for its directory once a day, and again where that led nowhere") {
  Renewing t;
  t.ca.offer_renewal_info(true);
  t.ca.suggest_again_after("21600");
  const Managed one = t.managed();
  t.renew(one);
  const int asked = t.ca.count("/directory");
  for (int check = 0; check < 4; ++check) {
    t.clock.advance(6h);
    t.renew(one);
  }
  CHECK(t.ca.count("/renewal-info") == 5);
  CHECK(t.ca.count("/directory") == asked);
  t.ca.answer_next("/renewal-info", {.status = 404, .headers = {}, .body = ""});
  t.clock.advance(6h);
  t.renew(one);
  CHECK(t.ca.count("/directory") == asked + 1);  // the day is over
  t.clock.set(*t.record().advice.next_check);
  t.renew(one);
  CHECK(t.ca.count("/renewal-info") == 7);
  CHECK(t.ca.count("/directory") == asked + 2);
}
