#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace acme_agent {

/// RFC 5280 5.3.1, those that are for the holder of a certificate to say.
struct RevocationReason {
  std::string_view word;
  std::optional<int> code;
};

/// --reason; without it, none is given. Throws Error (ask_operator) for an unknown word.
RevocationReason reason_called(const std::string& word);

/// The word for a CRLReason.
std::string_view reason_word(int code);

}  // namespace acme_agent
