#include <doctest/doctest.h>

#include <acme_agent/agent/held_stays.hpp>

#include "support/test_ca.hpp"

using namespace acme_agent;
using namespace acme_agent::test;
using namespace std::chrono_literals;

namespace {

const TimePoint now = std::chrono::sys_days(std::chrono::year(2026) / 11 / 23);
constexpr const char* real = "https://acme-v02.api.letsencrypt.org/directory";
constexpr const char* staging = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// Of a certificate for 90 days that began so many days ago.
Held begun(int days_ago, const std::string& name = "mydyn.example", const char* server = real) {
  static const TestCa ca;
  static const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  const TimePoint begin = now - days_ago * 24h;
  return {{key, ca.issue(key, {{Identifier::Type::dns, name}}, {begin, begin + 90 * 24h})}, server, ""};
}

}  // namespace

TEST_CASE("only a newer certificate for the same names replaces one that is in use") {
  CHECK_FALSE(why_held_stays(begun(30), begun(10), now));
  CHECK(why_held_stays(begun(10), begun(30), now) == "is not newer");
  CHECK(why_held_stays(begun(10), begun(10), now) == "is not newer");
  CHECK(why_held_stays(begun(30), begun(10, "other.example"), now) == "is for other names");
  CHECK(why_held_stays(begun(30), begun(-1), now) == "is not valid now");
  CHECK(why_held_stays(begun(30), begun(91), now) == "is not valid now");
}

TEST_CASE("a certificate for tests does not replace a real one, a real one does replace it") {
  CHECK(why_held_stays(begun(30), begun(10, "mydyn.example", staging), now) == "is one for tests only");
  CHECK_FALSE(why_held_stays(begun(30, "mydyn.example", staging), begun(10), now));
}

TEST_CASE("one that has ended is replaced by any that is valid, and by one that ended later") {
  CHECK_FALSE(why_held_stays(begun(91), begun(10, "other.example", staging), now));
  CHECK_FALSE(why_held_stays(begun(100), begun(95), now));
  CHECK(why_held_stays(begun(95), begun(100), now) == "ended before the one held");
}
