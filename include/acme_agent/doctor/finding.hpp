#pragma once

#include <string>
#include <vector>

namespace acme_agent {

/// What the doctor has found out about one thing.
struct Finding {
  enum class Verdict {
    good,
    hint,  ///< May be in order, or is no matter of the certificate: for people to judge.
    bad,   ///< Fails now, or will.
  };

  Verdict verdict = Verdict::good;
  std::string about;     ///< One word: "served", "port", …
  std::string evidence;  ///< What was seen, one clause.
  std::string remedy{};  ///< What to do; empty where nothing is to be done.
};

using Findings = std::vector<Finding>;

}  // namespace acme_agent
