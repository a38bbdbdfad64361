#include <algorithm>

#include <acme_agent/acme/session.hpp>

#include "fuzz.hpp"
#include "server.hpp"

namespace acme_agent::fuzz {
namespace {

/// Answers everything with the same refusal, which asks for somebody to read a page that a Link header names.
class Refusing final : public Transport {
 public:
  explicit Refusing(Response response) : response_(std::move(response)) {}
  Response send(const Request&, const std::stop_token&) override { return response_; }

 private:
  const Response response_;
};

void check_retry_after(std::string_view value, TimePoint now, const ProblemError& error) {
  const std::optional<TimePoint> moment = parse_retry_after(value, now);
  expect(error.not_before() == moment, "a refusal waits as its Retry-After says", value);
  const std::string_view count = trim(value);
  const bool counted = !count.empty() && count.find_first_not_of("0123456789") == std::string_view::npos;
  if (counted) expect(moment.has_value(), "a count of seconds is understood", value);
  if (!moment) return;
  expect_date(*moment);
  if (!counted) return;
  expect(*moment >= now && *moment <= now + std::chrono::days(3650), "a wait is from nothing to ten years", value);
  expect(parse_retry_after(" " + std::to_string((*moment - now) / std::chrono::seconds(1)), now) == moment,
         "a wait reads as itself", value);
}

void check_link(const Response& response, const std::string& target) {
  if (target.empty()) return;
  bool found = false;
  const auto [first, last] = response.headers.equal_range("link");
  for (auto link = first; link != last; ++link) {
    const std::size_t at = link->second.find("<" + target + ">");
    found = found || (at != std::string::npos && link->second.find("terms-of-service", at) != std::string::npos);
  }
  expect(found, "a page to read is the whole target of a link to the terms of service", target);
}

}  // namespace

/// The first line is a Retry-After, each other one a Link.
void one_input(std::string_view input) {
  Response response{503, {}, R"({"type": "urn:ietf:params:acme:error:userActionRequired", "detail": "read this"})"};
  const std::string_view retry_after = input.substr(0, input.find('\n'));
  response.headers.emplace("retry-after", retry_after);
  while (input.find('\n') != std::string_view::npos) {
    input.remove_prefix(input.find('\n') + 1);
    response.headers.emplace("link", input.substr(0, input.find('\n')));
  }

  const test::FakeClock clock;
  Refusing server(response);
  Session session(server, clock, directory_url, account_key(), "");
  try {
    session.directory({});
    expect(false, "a refusal is one");
  } catch (const ProblemError& error) {
    expect_shown(error);
    check_retry_after(retry_after, clock.now(), error);
    check_link(response, error.problem().instance);
  }
}

}  // namespace acme_agent::fuzz
