#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/net/transport.hpp>

namespace acme_agent::test {

/// What the server answers instead of what was asked for.
struct Refusal {
  int status;
  std::string type;  ///< Empty: no problem document.
  std::string detail;
  std::optional<Duration> retry_after = {};
  std::string location = {};  ///< Header Location; empty: none.
};

Refusal malformed(const std::string& detail);
Refusal not_yours();

nlohmann::json problem(const Refusal& refusal);
Response reply(int status, const nlohmann::json& body);

/// A member that is a text; else empty.
std::string text_of(const nlohmann::json& object, const char* name);
/// A member that is base64url; throws Refusal.
std::string decoded(const nlohmann::json& object, const char* name);

}  // namespace acme_agent::test
