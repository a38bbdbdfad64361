#pragma once

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent::fuzz {

/// What each target defines: one input that somebody may hand us.
void one_input(std::string_view input);

/// A claim that does not hold is a find: it is printed, and the process ends, so that libFuzzer keeps the input.
inline void expect(bool holds, std::string_view claim, std::string_view seen = {}) {
  if (holds) return;
  std::fprintf(stderr, "== find: it does not hold that %.*s\n", static_cast<int>(claim.size()), claim.data());
  if (!seen.empty()) std::fprintf(stderr, "== seen: %s\n", printable(seen, 2000).c_str());
  std::abort();
}

/// A sentence for the operator: printable, and short enough for a line of a log.
inline void expect_sentence(std::string_view sentence, std::size_t longest = 4096) {
  expect(!sentence.empty(), "a message says something");
  expect(printable(sentence, std::string::npos) == sentence, "a message is printable", sentence);
  expect(sentence.size() <= longest, "a message is one for a person (at most 4 KiB)", sentence);
}

/// A moment that is kept: what is written can be read again.
inline void expect_date(TimePoint moment) {
  const std::string written = format_rfc3339(moment);
  expect(parse_rfc3339(written) == std::chrono::floor<std::chrono::seconds>(moment),
         "a date that was accepted can be written and read again", written);
}

inline void expect_shown(const Error& error) {
  expect_sentence(error.message());
  if (error.not_before()) expect_date(*error.not_before());
}

/// The value of `call`; nothing if it throws an Error, which has to be fit to be shown. All else that is thrown is a
/// find.
template <class Call>
auto attempt(const Call& call) -> std::optional<decltype(call())> {
  try {
    return call();
  } catch (const Error& error) {
    expect_shown(error);
    return std::nullopt;
  }
}

}  // namespace acme_agent::fuzz
