#include <doctest/doctest.h>

#include <utility>

#include <acme_agent/base/secret.hpp>

using namespace acme_agent;

TEST_CASE("a secret that was moved from is empty, also when it was short") {
  for (const std::string& text : {std::string("short"), std::string(500, 'x')}) {
    Secret source(text);
    const Secret target(std::move(source));
    CHECK(target.reveal() == text);
    CHECK(source.empty());  // NOLINT(bugprone-use-after-move): this is the promise.
  }
}

TEST_CASE("copies of a secret are independent") {
  Secret first("one");
  Secret second = first;
  second.append(" more");
  CHECK(first.reveal() == "one");
  CHECK(second.reveal() == "one more");
  first = second;
  CHECK(first.reveal() == "one more");
}

TEST_CASE("a secret grows by many appends and keeps every byte") {
  Secret secret;
  std::string expected;
  for (int i = 0; i < 2000; ++i) {
    const std::string piece = std::to_string(i);
    secret.append(piece);
    expected += piece;
  }
  CHECK(secret.reveal() == expected);
}
