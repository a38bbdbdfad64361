#include <doctest/doctest.h>

#include <acme_agent/acme/resources.hpp>
#include <acme_agent/base/dates.hpp>

namespace acme_agent {
namespace {

Problem problem_of(const std::string& type, const std::string& detail = "") {
  Problem problem;
  problem.type = type;
  problem.detail = detail;
  problem.status = 400;
  return problem;
}

Remedy remedy_of(const std::string& type) {
  return ProblemError(problem_of(type), std::nullopt).remedy();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a problem is told in one sentence: what it means, what the server said, what to do") {
  CHECK(problem_of("connection", "192.0.2.1: connection refused").sentence("http-01") ==
        "the server could not connect to this machine: \"192.0.2.1: connection refused\" (connection); check that port "
        "80 is reachable from the internet and forwarded to this machine");
}

TEST_CASE("a part of a compound problem may have no name, and no words") {
  Problem problem = problem_of("compound");
  problem.subproblems = {{"dns", "", std::nullopt}};
  CHECK(
      problem.sentence() ==
      "the server found several faults: (compound); without a name: (dns); check that every name server of the domain "
      "answers");
}

TEST_CASE("a problem of an unknown type says its status and all that the server said") {
  CHECK(problem_of("urn:example:odd", "too odd").sentence() ==
        "the server refused with status 400: \"too odd\" (urn:example:odd)");
  CHECK(problem_of("").sentence() == "the server refused with status 400");
  CHECK(Problem().sentence() == "the server refused");
}

TEST_CASE("what a server says cannot drive a terminal, break a line or fill a disk") {
  const std::string text = problem_of("dns\x1b[2J", "a\r\nb\x1b[31m\xff" + std::string(100'000, 'x')).sentence();
  for (const char c : text) CHECK(static_cast<unsigned char>(c) >= 0x20);
  CHECK(contains(text, "…"));
  CHECK(text.size() < 2500);
}

TEST_CASE("the page that a problem names is shown") {
  Problem problem = problem_of("userActionRequired", "Terms of service have changed");
  problem.instance = "https://ca.example/agreement";
  CHECK(contains(problem.sentence(), "; see https://ca.example/agreement"));
}

TEST_CASE("what passes by itself is tried again, what somebody has to change is not") {
  for (const char* type : {"connection", "dns", "tls", "caa", "unauthorized", "incorrectResponse", "compound",
                           "serverInternal", "badNonce", "orderNotReady", "conflict", ""}) {
    CAPTURE(std::string(type));
    CHECK(remedy_of(type) == Remedy::retry);
  }
  for (const char* type : {"userActionRequired", "externalAccountRequired", "rejectedIdentifier",
                           "unsupportedIdentifier", "unsupportedContact", "invalidContact", "badSignatureAlgorithm",
                           "badPublicKey", "badCSR", "malformed", "accountDoesNotExist"}) {
    CAPTURE(std::string(type));
    CHECK(remedy_of(type) == Remedy::ask_operator);
  }
  CHECK(remedy_of("rateLimited") == Remedy::wait);
}

TEST_CASE("a rate limit names its moment, from the header or else from the text") {
  const std::string text = "too many certificates, retry after 2026-11-23 18:30:00 UTC: see https://ca.example/limits";
  const auto in_text = parse_rfc3339("2026-11-23T18:30:00Z");
  const auto in_header = parse_rfc3339("2026-11-23T20:00:00Z");

  const ProblemError by_text(problem_of("rateLimited", text), std::nullopt);
  CHECK(by_text.not_before() == in_text);
  CHECK(by_text.message().ends_with("; not to be tried again before 2026-11-23T18:30:00Z"));

  CHECK(ProblemError(problem_of("rateLimited", text), in_header).not_before() == in_header);
  CHECK(ProblemError(problem_of("rateLimited", "soon"), std::nullopt).not_before() == std::nullopt);
  CHECK(ProblemError(problem_of("rateLimited", "retry after 2026-13-99 99:99:99 UTC"), std::nullopt).not_before() ==
        std::nullopt);
  // Elsewhere such a text may be quoted from a stranger's server.
  CHECK(ProblemError(problem_of("unauthorized", text), std::nullopt).not_before() == std::nullopt);
}

TEST_CASE("a server that is busy without saying why is waited for if it says how long") {
  Problem busy;
  busy.status = 503;
  CHECK(ProblemError(busy, std::nullopt).remedy() == Remedy::retry);
  CHECK(ProblemError(busy, parse_rfc3339("2026-11-23T20:00:00Z")).remedy() == Remedy::wait);
}

}  // namespace
}  // namespace acme_agent
