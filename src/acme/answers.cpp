#include "answers.hpp"

#include <string>
#include <utility>

#include <acme_agent/base/dates.hpp>

#include "messages.hpp"

namespace acme_agent {
namespace {

/// The target of the Link header with rel="terms-of-service" (RFC 8555 7.3.3); empty if there is none.
std::string terms_link(const Response& response) {
  const auto [first, last] = response.headers.equal_range("link");
  for (auto header = first; header != last; ++header) {
    const std::string& links = header->second;
    const std::size_t relation = links.find("rel=\"terms-of-service\"");
    if (relation == std::string::npos) continue;
    const std::size_t open = links.rfind('<', relation);
    const std::size_t close = links.rfind('>', relation);
    if (open < close && close != std::string::npos) return links.substr(open + 1, close - open - 1);
  }
  return {};
}

}  // namespace

bool succeeded(const Response& response) {
  return response.status >= 200 && response.status < 300;
}

std::optional<TimePoint> retry_after(const Response& response, const Clock& clock) {
  const std::optional<std::string> header = response.header("retry-after");
  return header ? parse_retry_after(*header, clock.now()) : std::nullopt;
}

ProblemError refusal(const Response& response, const std::string& url, const Clock& clock) {
  Problem problem = read_problem(response.body).value_or(Problem());
  problem.server = host_of(url);
  problem.status = response.status;
  if (problem.instance.empty() && problem.type == "userActionRequired") problem.instance = terms_link(response);
  return ProblemError(std::move(problem), retry_after(response, clock), clock.now());
}

}  // namespace acme_agent
