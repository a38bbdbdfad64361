#pragma once

#include <nlohmann/json.hpp>

#include <acme_agent/acme/resources.hpp>

namespace acme_agent::fuzz {

inline nlohmann::json to_json(const Identifier& identifier) {
  return {{"type", identifier.type == Identifier::Type::dns ? "dns" : "ip"}, {"value", identifier.value}};
}

/// As a server would write it.
inline nlohmann::json to_json(const Problem& problem) {
  const auto urn = [](const std::string& type) { return "urn:ietf:params:acme:error:" + type; };
  nlohmann::json subproblems = nlohmann::json::array();
  for (const Problem::Sub& sub : problem.subproblems) {
    subproblems.push_back({{"type", urn(sub.type)}, {"detail", sub.detail}});
    if (sub.identifier) subproblems.back()["identifier"] = to_json(*sub.identifier);
  }
  return {{"type", urn(problem.type)},
          {"detail", problem.detail},
          {"status", problem.status},
          {"instance", problem.instance},
          {"subproblems", subproblems}};
}

}  // namespace acme_agent::fuzz
