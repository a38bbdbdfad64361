#include "shell_quoted.hpp"

#include <acme_agent/base/text.hpp>

namespace acme_agent {

std::string shell_quoted(std::string_view word) {
  const std::string text = printable(word, 8192);  // twice the longest path
  constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-";
  if (!text.empty() && text.find_first_not_of(plain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace acme_agent
