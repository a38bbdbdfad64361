#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <acme_agent/base/error.hpp>

namespace acme_agent {

/// Everything that is wrong with the configuration, each thing once. Bounded: who hands us a wrong file wants to hear
/// that, not a million lines.
class Complaints {
 public:
  void add(std::string sentence) {
    if (std::find(sentences_.begin(), sentences_.end(), sentence) != sentences_.end()) return;
    if (full()) {
      more_ = true;
    } else {
      sentences_.push_back(std::move(sentence));
    }
  }

  bool none() const { return sentences_.empty(); }
  bool full() const { return sentences_.size() == most; }

  void throw_if_any() const {
    if (none()) return;
    std::string message;
    for (const std::string& sentence : sentences_) message += (message.empty() ? "" : "\n") + sentence;
    if (more_) message += "\nand more: only the first " + std::to_string(most) + " complaints are shown";
    throw Error(Remedy::ask_operator, std::move(message));
  }

 private:
  static constexpr std::size_t most = 100;
  std::vector<std::string> sentences_;
  bool more_ = false;
};

}  // namespace acme_agent
