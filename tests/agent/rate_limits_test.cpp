#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include <acme_agent/agent/rate_limits.hpp>
#include <acme_agent/base/error.hpp>

#include "support/fake_clock.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace acme_agent::test;
using namespace std::chrono_literals;

namespace {

const std::string letsencrypt = "https://acme-v02.api.letsencrypt.org/directory";

std::vector<Identifier> names(const std::string& one) {
  return {{Identifier::Type::dns, one}};
}

struct Limited {
  TempDir folder;
  FakeClock clock;
  RateLimits limits{Accounts(folder / "accounts"), clock};

  /// What is true of another process on the same state folder.
  RateLimits after_a_restart() { return {Accounts(folder / "accounts"), clock}; }
  TimePoint turn(RateLimits& of, const std::string& name = "a.example") {
    return of.take_turn(letsencrypt, names(name), std::nullopt);
  }
};

}  // namespace

TEST_CASE("a bucket has its next token when the one before the last has come back") {
  const TimePoint now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22};
  const RateLimit limit{3, 10s};
  CHECK(next_token(limit, now, now) == now);
  CHECK(next_token(limit, now + 20s, now) == now);
  CHECK(next_token(limit, now + 30s, now) == now + 10s);
}

TEST_CASE("a server that we do not know is free") {
  Limited t;
  for (int i = 0; i < 1000; ++i)
    CHECK(t.limits.take_turn("https://ca.example/dir", names("a.example"), std::nullopt) == t.clock.now());
}

TEST_CASE("of ten thousand that want to order at once, the first 299 may, and then one each 36 seconds") {
  Limited t;
  for (int i = 0; i < 299; ++i) CHECK(t.turn(t.limits, std::to_string(i)) == t.clock.now());
  for (int i = 1; i <= 100; ++i) CHECK(t.turn(t.limits, "more" + std::to_string(i)) == t.clock.now() + i * 36s);
}

TEST_CASE("a bucket of 300 tokens that gets one each 36 seconds is never empty, whoever asks when") {
  Limited t;
  std::vector<TimePoint> orders;
  for (int i = 0; i < 2000; ++i) {
    orders.push_back(t.turn(t.limits, std::to_string(i)));
    if (i % 7 == 0) t.clock.advance(std::chrono::seconds(i % 90));
  }
  std::sort(orders.begin(), orders.end());
  double tokens = 300;
  TimePoint at = orders.front();
  for (const TimePoint order : orders) {
    tokens = std::min(300.0, tokens + static_cast<double>((order - at).count()) / 36'000) - 1;
    at = order;
    REQUIRE(tokens >= 0);
  }
}

TEST_CASE("who has a turn keeps it, and takes no second one") {
  Limited t;
  for (int i = 0; i < 299; ++i) t.turn(t.limits, std::to_string(i));
  const TimePoint mine = t.turn(t.limits, "mine");
  CHECK(t.limits.take_turn(letsencrypt, names("mine"), mine) == mine);
  CHECK(t.turn(t.limits, "next") == mine + 36s);
}

TEST_CASE("what was taken is known after a restart") {
  Limited t;
  for (int i = 0; i < 299; ++i) t.turn(t.limits, std::to_string(i));
  RateLimits other = t.after_a_restart();
  CHECK(t.turn(other, "mine") == t.clock.now() + 36s);
}

TEST_CASE("the fifth certificate for the same names within a week waits, whatever their order; others do not") {
  Limited t;
  const Identifier a{Identifier::Type::dns, "a.example"};
  const Identifier b{Identifier::Type::dns, "b.example"};
  for (int i = 0; i < 4; ++i) t.limits.issued(letsencrypt, i % 2 == 0 ? std::vector{a, b} : std::vector{b, a});
  CHECK(t.limits.take_turn(letsencrypt, {a, b}, std::nullopt) == t.clock.now() + 34h);
  CHECK(t.limits.take_turn(letsencrypt, {a}, std::nullopt) == t.clock.now());
  t.clock.advance(34h);
  CHECK(t.limits.take_turn(letsencrypt, {b, a}, std::nullopt) == t.clock.now());
}

TEST_CASE("the fifth failed validation of a name within an hour is not tried for, nor by another certificate") {
  Limited t;
  for (int i = 0; i < 4; ++i) t.limits.validation_failed(letsencrypt, names("a.example"));
  CHECK(t.limits.take_turn(letsencrypt,
                           {{Identifier::Type::dns, "other.example"}, {Identifier::Type::dns, "a.example"}},
                           std::nullopt) == t.clock.now() + 12min);
}

TEST_CASE("a clock that was years ahead does not lock anybody out") {
  Limited t;
  t.clock.advance(24h * 3650);
  for (int i = 0; i < 4; ++i) t.limits.issued(letsencrypt, names("a.example"));
  t.clock.advance(-24h * 3650);
  RateLimits other = t.after_a_restart();
  CHECK(t.turn(other) <= t.clock.now() + 5 * 34h);
}

TEST_CASE("limits that could not be read once are not forgotten") {
  Limited t;
  for (int i = 0; i < 4; ++i) t.limits.issued(letsencrypt, names("a.example"));
  CHECK(t.turn(t.limits) > t.clock.now());
  std::filesystem::path file;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(t.folder / "accounts"))
    if (entry.path().filename() == "limits.json") file = entry.path();
  RateLimits restarted = t.after_a_restart();
  std::filesystem::rename(file, file.string() + ".kept");
  std::filesystem::create_directory(file);  // stands for EIO or EMFILE
  CHECK_THROWS_AS(t.turn(restarted), Error);
  std::filesystem::remove(file);
  std::filesystem::rename(file.string() + ".kept", file);
  CHECK(t.turn(restarted) > t.clock.now());
  RateLimits again = t.after_a_restart();
  CHECK(t.turn(again) > t.clock.now());
}
