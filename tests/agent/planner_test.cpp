#include <doctest/doctest.h>

#include <array>

#include <acme_agent/agent/planner.hpp>
#include <acme_agent/agent/rate_limits.hpp>

using namespace acme_agent;
using namespace std::chrono_literals;

namespace {

const TimePoint start = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22};

Validity living(Duration lifetime) {
  return {start, start + lifetime};
}

constexpr Duration day = 24h;

constexpr const char* first = "https://first.example/dir";
constexpr const char* second = "https://second.example/dir";
constexpr const char* staging = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// A certificate of 90 days from the first of two servers.
struct Planning {
  Managed managed;
  Record record;

  explicit Planning(const std::vector<std::string>& urls = {first, second}) {
    managed.name = "mydyn.example";
    managed.identifiers = {{Identifier::Type::dns, "mydyn.example"}};
    for (const std::string& url : urls)
      managed.servers.push_back(std::make_shared<const AcmeServer>(AcmeServer{url, url, {}}));
    record.inputs = inputs_of(managed);
    record.held.emplace();
    record.held->what = what_of(managed.key_type, managed.identifiers);
    record.held->server = urls.front();
    record.held->validity = living(90 * day);
    record.held->renewal_info_id = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
  }

  void advise(const Window& window) { record.advice = {record.held->renewal_info_id, window, "", {}, 0}; }
  void fail(const char* server, int step, TimePoint next) {
    record.failures += 1;
    record.servers[server].step = step;
    record.servers[server].next_attempt = next;
  }
  Due due(TimePoint now) const { return next_order(managed, record, now); }
  std::string server(TimePoint now) const { return due(now).server->url; }
};

}  // namespace

TEST_CASE("a certificate of 90 days is renewed with a third of its life left") {
  CHECK(plan_renewal(living(90 * day), 0) == start + 60 * day);
}

TEST_CASE("a certificate that lives less than ten days is renewed at half its life") {
  CHECK(plan_renewal(living(160h), 0) == start + 80h);
  CHECK(plan_renewal(living(10 * day), 0) == start + 10 * day - 10 * day / 3);
}

TEST_CASE("seconds and centuries of lifetime are planned alike") {
  CHECK(plan_renewal(living(10s), 0) == start + 5s);
  CHECK(plan_renewal(living(7300 * day), 0) == start + 7300 * day - 7300 * day / 3);
}

TEST_CASE("the spread makes a renewal at most a fiftieth of the lifetime earlier, never later") {
  const Validity validity = living(100 * day);
  CHECK(plan_renewal(validity, 1) == plan_renewal(validity, 0) - 2 * day);
  CHECK(plan_renewal(validity, 0.5) == plan_renewal(validity, 0) - day);
}

TEST_CASE("a name has the same spread for ever, and names differ") {
  CHECK(spread_of("mydyn.example") == spread_of("mydyn.example"));
  CHECK(spread_of("mydyn.example") != spread_of("mqtt.mydyn.example"));
  for (int i = 0; i < 1000; ++i) {
    const double spread = spread_of("host" + std::to_string(i));
    CHECK(spread >= 0);
    CHECK(spread < 1);
  }
}

TEST_CASE("the ladder is 1, 10, 100 minutes and then a day, for ever") {
  CHECK(wait_after_failure(1, std::nullopt, start) == 1min);
  CHECK(wait_after_failure(2, std::nullopt, start) == 10min);
  CHECK(wait_after_failure(3, std::nullopt, start) == 100min);
  CHECK(wait_after_failure(4, std::nullopt, start) == 24h);
  CHECK(wait_after_failure(1000, std::nullopt, start) == 24h);
}

TEST_CASE("no step is longer than a tenth of the lifetime") {
  CHECK(wait_after_failure(4, living(160h), start) == 16h);
  CHECK(wait_after_failure(1, living(12s), start) == 1200ms);
}

TEST_CASE("near expiry the wait is half of what is left, but never a hammering") {
  const Validity validity = living(90 * day);
  CHECK(wait_after_failure(4, validity, validity.not_after - 12h) == 6h);
  CHECK(wait_after_failure(4, validity, validity.not_after - 1min) == 10min);
  CHECK(wait_after_failure(4, validity, validity.not_after + 1h) == 24h);
}

TEST_CASE("a broker that comes back is looked at within ten seconds") {
  Duration longest{0};
  for (int failures = 1; failures < 50; ++failures) longest = std::max(longest, wait_after_deployment(failures, false));
  CHECK(longest < 10s);
  CHECK(wait_after_deployment(1, false) == 1s);
}

TEST_CASE("where an operator is needed the looks become rare") {
  CHECK(wait_after_deployment(1, true) == 10s);
  CHECK(wait_after_deployment(100, true) == 10min);
}

TEST_CASE("the moment in the suggested window is the same whenever it is drawn, and another one for another window") {
  const Window window{start, start + 48h};
  const TimePoint moment = choose_moment(window, "a.b");
  CHECK(moment == choose_moment(window, "a.b"));
  CHECK(moment != choose_moment({start, start + 48h + 1s}, "a.b"));
  CHECK(moment != choose_moment(window, "a.c"));
}

TEST_CASE("the moments of many certificates are uniform over the window") {
  constexpr int cells = 20;
  constexpr int certificates = 20'000;
  std::array<int, cells> count{};
  for (int i = 0; i < certificates; ++i) {
    const TimePoint moment = choose_moment({start, start + 1000h}, "aYhba4dGQEHhs3uEe6CuLN4ByNQ." + std::to_string(i));
    REQUIRE(moment >= start);
    REQUIRE(moment < start + 1000h);
    ++count.at(static_cast<std::size_t>((moment - start) / (1000h / cells)));
  }
  double chi_square = 0;
  constexpr double expected = certificates / cells;
  for (const int n : count) chi_square += (n - expected) * (n - expected) / expected;
  CHECK(chi_square < 43.8);  // 19 degrees of freedom, 1 in 1000
}

TEST_CASE("what the server suggests goes before the share of the lifetime, earlier or later") {
  Planning t;
  t.advise({start + 10 * day, start + 11 * day});
  CHECK(t.due(start + day).reason == Reason::ari);
  CHECK(t.due(start + day).when >= start + 10 * day);
  CHECK(t.due(start + day).when < start + 11 * day);
  t.advise({start + 75 * day, start + 76 * day});
  CHECK(t.due(start + day).when >= start + 75 * day);
}

TEST_CASE("near expiry no suggestion counts") {
  Planning t;
  t.advise({start + 100 * day, start + 101 * day});
  CHECK(t.due(start + day).when == start + 81 * day);
}

TEST_CASE("a suggestion for another certificate does not count") {
  Planning t;
  t.advise({start, start + 1h});
  t.record.advice.id = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.other";
  CHECK(t.due(start + day).reason == Reason::lifetime);
}

TEST_CASE("a server that wants each certificate renewed at once gets one order a day") {
  Planning t;
  t.advise({start - 1h, start - 30min});
  t.record.last_attempt = start;
  CHECK(t.due(start).when == start + 24h);
}

TEST_CASE("a window that moves from later to now is followed at once, though the certificate was issued just now") {
  Planning t;
  t.record.last_attempt = start;
  t.advise({start + 60 * day, start + 61 * day});
  const TimePoint now = start + 6h;
  const Window revoked{now - 1h, now - 30min};
  CHECK(is_recall(t.record, revoked, now));
  t.record.advice.recalled = now;
  t.record.advice.window = revoked;
  CHECK(t.due(now).when <= now);
}

TEST_CASE("a window that moves but leaves the certificate its time is no reason to hurry") {
  Planning t;
  t.record.last_attempt = start;
  t.advise({start + 60 * day, start + 61 * day});
  CHECK_FALSE(is_recall(t.record, {start + 2 * day, start + 3 * day}, start + 6h));
}

TEST_CASE("a server that has wanted the certificate renewed at once from the beginning takes nothing back") {
  Planning t;
  t.record.last_attempt = start;
  CHECK_FALSE(is_recall(t.record, {start - 1h, start}, start));  // asked for the first time
  t.advise({start - 1h, start});
  CHECK_FALSE(is_recall(t.record, {start, start + 1h}, start + 1h));
  t.advise({start + 1h, start + 2h});
  CHECK_FALSE(is_recall(t.record, {start, start + 1h}, start + 1h));
}

TEST_CASE("a server that gives time and takes it back with each certificate is followed twice a day at most") {
  Planning t;
  TimePoint now = start;
  int orders = 0;
  t.advise({now + 60 * day, now + 61 * day});
  for (t.record.last_attempt = now; now < start + 10 * day; now += 10min) {
    const Window revoked{now - 1h, now - 30min};
    if (is_recall(t.record, revoked, now)) t.record.advice.recalled = now;
    t.record.advice.window = revoked;
    if (t.due(now).when > now) continue;
    ++orders;
    t.record.last_attempt = now;
    t.record.advice.window = Window{now + 60 * day, now + 61 * day};
  }
  CHECK(orders >= 9);
  CHECK(orders <= 20);
}

TEST_CASE("what a wrong clock has noted as taken back does not let a server make us order again and again") {
  Planning t;
  t.record.last_attempt = start;
  t.advise({start - 1h, start - 30min});
  t.record.advice.recalled = start + 365 * day;
  CHECK(t.due(start + 1h).when == start + 24h);
}

TEST_CASE("the second server is asked once the first has failed three times, and not before") {
  Planning t;
  const TimePoint now = start + 61 * day;
  CHECK(t.server(now) == first);
  t.fail(first, 2, now + 10min);
  CHECK(t.server(now) == first);
  CHECK(t.due(now).when == now + 10min);
  t.fail(first, 3, now + 100min);
  CHECK(t.server(now) == second);
  CHECK(t.due(now).when <= now);
}

TEST_CASE("where little is left the second server is asked after one failure") {
  Planning t;
  const TimePoint now = start + 80 * day;
  t.fail(first, 1, now + 1min);
  CHECK(t.server(now) == second);
}

TEST_CASE("where little is left a first server that wants to be asked tomorrow is left aside") {
  Planning t;
  t.record.servers[first].not_before = start + 81 * day;
  CHECK(t.server(start + 80 * day) == second);
  CHECK(t.server(start + 79 * day + 23h + 30min) == second);
  t.record.servers[first].not_before = start + 62 * day;
  CHECK(t.server(start + 61 * day) == first);
}

TEST_CASE("when all have failed, the one that may be asked first is asked") {
  Planning t;
  const TimePoint now = start + 61 * day;
  t.fail(first, 4, now + 24h);
  t.fail(second, 3, now + 100min);
  CHECK(t.server(now) == second);
  CHECK(t.due(now).when == now + 100min);
  CHECK(t.server(now + 25h) == first);
}

TEST_CASE("what the second server has issued is as good, and its renewal is the first one's again") {
  Planning t;
  t.record.held->server = second;
  CHECK(t.due(start + day).reason == Reason::lifetime);
  CHECK(t.server(start + 61 * day) == first);
}

TEST_CASE("a server for tests is no fallback for a certificate that devices accept") {
  Planning t({first, staging});
  const TimePoint now = start + 80 * day;
  t.fail(first, 4, now + 24h);
  CHECK(t.server(now) == first);
  t.record.held->server = staging;
  CHECK(t.server(now) == staging);
}

TEST_CASE("a turn in the queue of a rate limit is waited for, and one of a clock that was wrong is not") {
  Planning t;
  t.record.held.reset();
  t.record.servers[first].turn = start + 10min;
  CHECK(t.due(start).when == start + 10min);
  t.record.servers[first].turn = start + furthest_turn + 1s;
  CHECK(t.due(start).when <= start);
}

TEST_CASE("advice that cannot be had is asked for again soon, then within six hours; what makes no sense within six") {
  CHECK(wait_for_advice(1, true) == 1min);
  CHECK(wait_for_advice(2, true) == 4min);
  CHECK(wait_for_advice(4, true) == 64min);
  CHECK(wait_for_advice(9, true) == 6h);
  CHECK(wait_for_advice(1, false) == 6h);
}

TEST_CASE("a clock before the build, before what was known or before the certificate cannot be right") {
  const TimePoint now = start;
  CHECK_FALSE(why_clock_is_wrong(now, now - day, now - 1h, now - 1h));
  CHECK(why_clock_is_wrong(now, now + 1s, std::nullopt, std::nullopt));
  CHECK(why_clock_is_wrong(now, now - day, now + 11min, std::nullopt));
  CHECK_FALSE(why_clock_is_wrong(now, now - day, now + 9min, std::nullopt));  // a correction
  CHECK(why_clock_is_wrong(now, now - day, std::nullopt, now + 61min));
  CHECK_FALSE(why_clock_is_wrong(now, now - day, std::nullopt, now + 59min));  // the server's clock is ahead
}

TEST_CASE("a clock an hour behind the server's or a day ahead does no harm, more is too much") {
  CHECK_FALSE(why_clock_is_wrong(start, start + 1h));
  CHECK(why_clock_is_wrong(start, start + 1h + 1s));
  CHECK_FALSE(why_clock_is_wrong(start, start - 24h));
  CHECK(why_clock_is_wrong(start, start - 24h - 1s));
}

TEST_CASE("an attempt that was cut off is made again at once, the next ones by the ladder") {
  Planning t;
  const TimePoint now = start + 61 * day;
  t.record.last_attempt = now;
  t.record.interrupted = 1;
  CHECK(t.due(now).when <= now);
  t.record.interrupted = 2;
  CHECK(t.due(now).when == now + 1min);
  t.record.interrupted = 9;
  CHECK(t.due(now).when == now + 24h);
}

TEST_CASE("a revoked certificate is replaced at once, however long it would live") {
  Planning t;
  CHECK(t.due(start).when > start);
  t.record.held->revoked = true;
  CHECK(t.due(start).when == start);
  CHECK(t.due(start).reason == Reason::revoked);
}

TEST_CASE("for a revoked certificate, one failure is enough to ask the next server") {
  Planning t;
  t.fail(first, 1, start + 1min);
  CHECK(t.server(start) == first);
  t.record.held->revoked = true;
  CHECK(t.server(start) == second);
}
