#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace acme_agent {

/// Text that must not outlive its use: wiped from memory when it is destroyed or overwritten. Never log one.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view text) : text_(text) {}
  Secret(const Secret& other) = default;
  Secret(Secret&& other) noexcept : text_(other.text_) { other.wipe(); }
  Secret& operator=(Secret other) noexcept {
    text_.swap(other.text_);
    return *this;
  }
  ~Secret() { wipe(); }

  std::string_view reveal() const noexcept { return text_; }
  bool empty() const noexcept { return text_.empty(); }

  /// Appends without leaving an unwiped copy behind, should the text have to move.
  void append(std::string_view text);

 private:
  void wipe() noexcept;

  std::string text_;
};

}  // namespace acme_agent
