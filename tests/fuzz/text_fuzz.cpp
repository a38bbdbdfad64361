#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/base/identifier.hpp>

#include "fuzz.hpp"

namespace acme_agent::fuzz {
namespace {

/// U+0000 to U+001F, U+007F, and U+0080 to U+009F in UTF-8.
bool has_control(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) return true;
  }
  return false;
}

void check_printable(std::string_view input) {
  constexpr std::size_t limit = 40;
  const std::string whole = printable(input, std::string::npos);
  expect(!has_control(whole), "nothing printable is a control character", input);
  expect(printable(whole, std::string::npos) == whole, "what is printable stays as it is", whole);
  const std::string cut = printable(input, limit);
  expect(cut == whole || cut.ends_with("…"), "what is cut off says so", cut);
  expect(cut.size() <= limit + std::string_view("…").size(), "a limit is kept", cut);
  expect(printable(cut, std::string::npos) == cut, "no character is cut in half", cut);
}

void check_parts(std::string_view input) {
  const std::string_view trimmed = trim(input);
  expect(trim(trimmed) == trimmed, "there is nothing left to trim", input);
  std::size_t sum = 0;
  for (const std::string& part : split(input, ',')) {
    expect(!part.empty() && trim(part) == part && part.find(',') == std::string::npos, "a part is a part", part);
    sum += part.size();
  }
  expect(sum <= input.size(), "parts are not more than the whole", input);
}

void check_identifier(std::string_view input) {
  const std::optional<Identifier> identifier = attempt([input] { return parse_identifier(input); });
  if (!identifier) return;
  expect(parse_identifier(identifier->value) == *identifier, "a name reads as itself", identifier->value);
  expect(identifier->value.size() <= 253, "a name has at most 253 characters", identifier->value);
}

void check_endpoint(std::string_view input) {
  if (const auto endpoint = attempt([input] { return parse_endpoint(input); })) {
    expect(endpoint->port != 0, "a port is one", input);
    expect(parse_endpoint(endpoint->text()) == *endpoint, "an endpoint reads as itself", endpoint->text());
  }
  if (const auto endpoint = attempt([input] { return parse_listen_endpoint(input); })) {
    expect(parse_listen_endpoint(endpoint->text()) == *endpoint, "where to listen reads as itself", endpoint->text());
  }
}

}  // namespace

void one_input(std::string_view input) {
  check_printable(input);
  check_parts(input);
  check_identifier(input);
  check_endpoint(input);
  nearest(input.substr(0, 24), {"domain", "key-type", "probe-timeout"});
}

}  // namespace acme_agent::fuzz
