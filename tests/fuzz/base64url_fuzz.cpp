#include <acme_agent/base/base64url.hpp>

#include "fuzz.hpp"

namespace acme_agent::fuzz {

void one_input(std::string_view input) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

  const std::string text = base64url_encode(input);
  expect(text.find_first_not_of(alphabet) == std::string::npos, "only the alphabet of RFC 4648 5 is written", text);
  expect(text.size() == (input.size() * 4 + 2) / 3, "no character too many is written", text);
  expect(base64url_decode(text) == input, "what was encoded is decoded to the same bytes", text);

  if (const std::optional<std::string> bytes = base64url_decode(input)) {
    expect(base64url_encode(*bytes) == input, "there is one text for some bytes", input);
  }
}

}  // namespace acme_agent::fuzz
