#pragma once

#include <string>

#include <acme_agent/base/clock.hpp>

#include "support/verify.hpp"

namespace acme_agent::sim {

/// What somebody says of a chain. It costs some signatures, so that it is asked for again only when what is looked at
/// is another thing, or a date in it was passed.
class Opinion {
 public:
  /// `ask` gives the Verification at `now` of what has this name.
  template <class Ask>
  const std::string& at(TimePoint now, const std::string& what, const Ask& ask) {
    if (said_.empty() || what != what_ || now < asked_ || now >= until_) form(now, what, ask());
    return said_;
  }

 private:
  void form(TimePoint now, const std::string& what, const test::Verification& verification);

  std::string what_;
  std::string said_;
  TimePoint asked_;
  TimePoint until_;
};

}  // namespace acme_agent::sim
