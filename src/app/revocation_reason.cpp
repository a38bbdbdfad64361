#include "revocation_reason.hpp"

#include <vector>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

constexpr RevocationReason reasons[] = {
    {"unspecified", 0}, {"key-compromise", 1}, {"superseded", 4}, {"cessation-of-operation", 5}};

/// certbot writes them without dashes, RFC 5280 with capitals.
std::string bare(std::string_view word) {
  std::string letters;
  for (const char c : word)
    if (c != '-') letters += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return letters;
}

}  // namespace

RevocationReason reason_called(const std::string& word) {
  if (word.empty()) return {"unspecified", std::nullopt};
  std::vector<std::string> words;
  for (const RevocationReason& reason : reasons) {
    if (bare(word) == bare(reason.word)) return reason;
    words.emplace_back(reason.word);
  }
  const std::string meant = nearest(word, words);
  throw Error(Remedy::ask_operator, "--reason: '" + printable(word, 80) + "' is not one of " + join(words) +
                                        (meant.empty() ? "" : ": did you mean '" + meant + "'?"));
}

std::string_view reason_word(int code) {
  for (const RevocationReason& reason : reasons)
    if (reason.code == code) return reason.word;
  return reasons[0].word;
}

}  // namespace acme_agent
