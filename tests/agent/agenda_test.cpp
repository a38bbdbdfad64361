#include <doctest/doctest.h>

#include <acme_agent/agent/agenda.hpp>

using namespace acme_agent;
using namespace std::chrono_literals;

namespace {

const TimePoint now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22};

std::vector<std::string> names(const std::vector<std::pair<std::string, Wish>>& due) {
  std::vector<std::string> result;
  for (const auto& [name, wish] : due) result.push_back(name);
  return result;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a new entry is due at once, with a look") {
  Agenda agenda;
  agenda.add("a", now);
  const auto due = agenda.take_due(now, 9);
  REQUIRE(due.size() == 1);
  CHECK(due[0].second.look);
}

TEST_CASE("an entry that is being worked on is not handed out again, and nothing wakes for it") {
  Agenda agenda;
  agenda.add("a", now);
  CHECK(agenda.take_due(now, 9).size() == 1);
  CHECK(agenda.take_due(now + 24h, 9).empty());
  CHECK_FALSE(agenda.wake_at());
}

TEST_CASE("a settled entry is due at its next date and without the old wish") {
  Agenda agenda;
  agenda.add("a", now);
  agenda.take_due(now, 9);
  CHECK(agenda.settle("a", now + 1h));
  CHECK(agenda.wake_at() == now + 1h);
  CHECK(agenda.take_due(now + 1h - 1ms, 9).empty());
  const auto due = agenda.take_due(now + 1h, 9);
  REQUIRE(due.size() == 1);
  CHECK(due[0].second == Wish{});
}

TEST_CASE("the most overdue come first, and no more than there is room for") {
  Agenda agenda;
  agenda.add("late", now + 2h);
  agenda.add("early", now);
  agenda.add("middle", now + 1h);
  CHECK(names(agenda.take_due(now + 3h, 2)) == Names{"early", "middle"});
  CHECK(names(agenda.take_due(now + 3h, 2)) == Names{"late"});
}

TEST_CASE("hurry makes an entry due now and joins the wishes") {
  Agenda agenda;
  agenda.add("a", now);
  agenda.take_due(now, 9);
  agenda.settle("a", now + 24h);
  CHECK(agenda.hurry("a", {.now = true}));
  CHECK(agenda.hurry("a", {.force = true}));
  const auto due = agenda.take_due(now + 1h, 9);
  REQUIRE(due.size() == 1);
  CHECK(due[0].second == Wish{.now = true, .force = true});
}

TEST_CASE("who is hurried comes before all that is overdue, also after the clock was set back") {
  Agenda agenda;
  for (const char* name : {"a", "b", "z"}) agenda.add(name, now);
  CHECK(agenda.hurry("z", {.now = true}));
  agenda.wake_all(now - 24h);
  CHECK(names(agenda.take_due(now, 1)) == Names{"z"});
}

TEST_CASE("an entry that has changed is looked at now, in its turn") {
  Agenda agenda;
  agenda.add("changed", now);
  agenda.add("overdue", now);
  agenda.take_due(now, 9);
  agenda.settle("changed", now + 24h);
  agenda.settle("overdue", now + 1h);
  agenda.add("changed", now + 2h);
  const auto due = agenda.take_due(now + 2h, 9);
  CHECK(names(due) == Names{"overdue", "changed"});
  CHECK(due.back().second.look);
}

TEST_CASE("hurry during the work is kept until the work is done") {
  Agenda agenda;
  agenda.add("a", now);
  agenda.take_due(now, 9);
  CHECK(agenda.hurry("a", {.force = true}));
  CHECK(agenda.take_due(now, 9).empty());
  CHECK_FALSE(agenda.settle("a", now + 24h));
  const auto due = agenda.take_due(now, 9);
  REQUIRE(due.size() == 1);
  CHECK(due[0].second.force);
}

TEST_CASE("when the clock was set back everything is due, but for what is being worked on") {
  Agenda agenda;
  agenda.add("idle", now + 60 * 24h);
  agenda.add("busy", now);
  agenda.take_due(now, 1);
  agenda.wake_all(now);
  CHECK(names(agenda.take_due(now, 9)) == Names{"idle"});
}

TEST_CASE("nobody can hurry what is not there") {
  Agenda agenda;
  CHECK_FALSE(agenda.hurry("a", {.now = true}));
}

TEST_CASE("a removed entry never comes back, not even from the work at hand") {
  Agenda agenda;
  agenda.add("idle", now);
  agenda.remove("idle");
  agenda.add("busy", now);
  agenda.take_due(now, 9);
  agenda.remove("busy");
  CHECK_FALSE(agenda.hurry("busy", {}));
  CHECK(agenda.settle("busy", now));
  CHECK_FALSE(agenda.wake_at());
}

TEST_CASE("a removed entry is known to be worked on until that is done") {
  Agenda agenda;
  agenda.add("a", now);
  CHECK_FALSE(agenda.is_working("a"));
  agenda.take_due(now, 9);
  agenda.remove("a");
  CHECK_FALSE(agenda.hurry("a", {}));
  CHECK(agenda.is_working("a"));
  agenda.settle("a", now + 1h);
  CHECK_FALSE(agenda.is_working("a"));
}

TEST_CASE("an entry that is removed and added again during the work stays, and is looked at again") {
  Agenda agenda;
  agenda.add("a", now);
  agenda.take_due(now, 9);
  agenda.remove("a");
  agenda.add("a", now);
  CHECK_FALSE(agenda.settle("a", now + 1h));
  const auto due = agenda.take_due(now, 9);
  REQUIRE(due.size() == 1);
  CHECK(due[0].second.look);
}
