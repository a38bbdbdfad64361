#include <array>

#include "acme/messages.hpp"
#include "fuzz.hpp"
#include "problem_json.hpp"

namespace acme_agent::fuzz {
namespace {

constexpr auto url = "https://ca.example/order/1";
constexpr std::size_t most_members = 1000;

std::string_view word(Status status) {
  // RFC 8555 7.1.6, in the order of the type.
  constexpr std::array<std::string_view, 8> words = {"pending", "processing",  "ready",   "valid",
                                                     "invalid", "deactivated", "expired", "revoked"};
  return words[static_cast<std::size_t>(status)];
}

void check_identifier(const Identifier& identifier) {
  const auto again = attempt([&] { return parse_identifier(identifier.value); });
  expect(again == identifier, "a name that a server gives is one", identifier.value);
}

void check_error(const std::optional<Problem>& error) {
  if (error) expect_shown(ProblemError(*error, std::nullopt));
}

void check_order(const Order& order) {
  expect(order.identifiers.size() <= most_members && order.authorizations.size() <= most_members, "lists are bounded");
  for (const Identifier& identifier : order.identifiers) check_identifier(identifier);
  for (const std::string& authorization : order.authorizations) {
    expect(is_usable_url(authorization), "only https URLs are used", authorization);
  }
  expect(is_usable_url(order.finalize), "only https URLs are used", order.finalize);
  expect((order.status == Status::valid) == is_usable_url(order.certificate), "a valid order has a certificate");
  check_error(order.error);

  nlohmann::json written = {{"status", word(order.status)},
                            {"identifiers", nlohmann::json::array()},
                            {"authorizations", order.authorizations},
                            {"finalize", order.finalize},
                            {"certificate", order.certificate}};
  for (const Identifier& identifier : order.identifiers) written["identifiers"].push_back(to_json(identifier));
  const Order again = read_order(written.dump(), order.url);
  expect(again.status == order.status && again.identifiers == order.identifiers &&
             again.authorizations == order.authorizations && again.finalize == order.finalize &&
             again.certificate == order.certificate,
         "an order reads as itself");
}

void check_authorization(const Authorization& authorization) {
  check_identifier(authorization.identifier);
  expect(authorization.challenges.size() <= most_members, "lists are bounded");
  constexpr std::string_view base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (const Challenge& challenge : authorization.challenges) {
    check_error(challenge.error);
    expect(challenge.issuer_domain_names.size() <= 10, "issuers are few");
    for (const std::string& issuer : challenge.issuer_domain_names)
      expect(parse_identifier(issuer).value == issuer, "an issuer is a name that a zone may contain", issuer);
    if (challenge.token.empty()) continue;
    expect(challenge.token.find_first_not_of(base64url) == std::string::npos, "a token may be a file name",
           challenge.token);
    expect(challenge.token.size() <= 128, "a token is short", challenge.token);
    expect(is_usable_url(challenge.url), "only https URLs are used", challenge.url);
  }
}

}  // namespace

void one_input(std::string_view input) {
  const std::string body(input);
  if (const auto order = attempt([&] { return read_order(body, url); })) check_order(*order);
  if (const auto authorization = attempt([&] { return read_authorization(body, url); })) {
    check_authorization(*authorization);
  }
  if (const auto account = attempt([&] { return read_account(body, url); })) {
    expect(account->contact.size() <= 100, "lists are bounded");
    for (const std::string& contact : account->contact) expect_sentence(contact, 600);
    if (account->created) expect_date(*account->created);
  }
}

}  // namespace acme_agent::fuzz
