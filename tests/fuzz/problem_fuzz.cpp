#include "acme/messages.hpp"
#include "fuzz.hpp"
#include "problem_json.hpp"

namespace acme_agent::fuzz {

void one_input(std::string_view input) {
  const std::optional<Problem> problem = read_problem(std::string(input));
  if (!problem) return;
  expect(problem->status >= 0 && problem->status <= 999, "a status is one of HTTP's");
  for (const Problem::Sub& sub : problem->subproblems) {
    if (sub.identifier) expect(parse_identifier(sub.identifier->value) == *sub.identifier, "a name reads as itself");
  }
  expect_sentence(problem->sentence());
  expect_shown(ProblemError(*problem, std::nullopt));

  const std::optional<Problem> again = read_problem(to_json(*problem).dump());
  expect(again && again->sentence() == problem->sentence(), "a problem reads as itself", problem->sentence());
}

}  // namespace acme_agent::fuzz
