#include "support/fake_ca/refusal.hpp"

#include <acme_agent/base/base64url.hpp>

namespace acme_agent::test {

using nlohmann::json;

Refusal malformed(const std::string& detail) {
  return {400, "malformed", detail};
}

Refusal not_yours() {
  return {403, "unauthorized", "the account that signed does not own this"};
}

json problem(const Refusal& refusal) {
  return {
      {"type", "urn:ietf:params:acme:error:" + refusal.type}, {"detail", refusal.detail}, {"status", refusal.status}};
}

Response reply(int status, const json& body) {
  Response response;
  response.status = status;
  response.headers.emplace("content-type", "application/json");
  response.body = body.dump(2);
  return response;
}

std::string text_of(const json& object, const char* name) {
  const auto member = object.is_object() ? object.find(name) : object.end();
  if (!object.is_object() || member == object.end() || !member->is_string()) return {};
  return member->get<std::string>();
}

std::string decoded(const json& object, const char* name) {
  const std::optional<std::string> bytes = base64url_decode(text_of(object, name));
  if (!bytes) throw malformed("'" + std::string(name) + "' is no base64url");
  return *bytes;
}

}  // namespace acme_agent::test
