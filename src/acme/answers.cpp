#include "answers.hpp"

#include <string>
#include <utility>

#include <acme_agent/base/dates.hpp>

#include "messages.hpp"

namespace acme_agent {
bool succeeded(const Response& response) {
  return response.status >= 200 && response.status < 300;
}

std::optional<TimePoint> retry_after(const Response& response, const Clock& clock) {
  const std::optional<std::string> header = response.header("retry-after");
  return header ? parse_retry_after(*header, clock.now()) : std::nullopt;
}

std::vector<std::string> links(const Response& response, std::string_view relation) {
  std::vector<std::string> targets;
  const auto [first, last] = response.headers.equal_range("link");
  for (auto header = first; header != last; ++header) {
    const std::string_view text = header->second;
    for (std::size_t at = text.find("rel="); at != std::string_view::npos; at = text.find("rel=", at + 1)) {
      std::string_view value = text.substr(at + 4);
      const bool quoted = value.starts_with('"');
      if (quoted) value.remove_prefix(1);
      value = value.substr(0, value.find_first_of(quoted ? "\"" : ",; "));
      const std::size_t open = text.rfind('<', at);
      const std::size_t close = text.rfind('>', at);
      if (value == relation && open < close && close != std::string_view::npos)
        targets.emplace_back(text.substr(open + 1, close - open - 1));
    }
  }
  return targets;
}

ProblemError refusal(const Response& response, const std::string& url, const Clock& clock) {
  Problem problem = read_problem(response.body).value_or(Problem());
  problem.server = host_of(url);
  problem.status = response.status;
  // RFC 8555 7.3.3
  if (problem.instance.empty() && problem.type == "userActionRequired")
    if (const std::vector<std::string> terms = links(response, "terms-of-service"); !terms.empty())
      problem.instance = terms.front();
  return ProblemError(std::move(problem), retry_after(response, clock));
}

}  // namespace acme_agent
