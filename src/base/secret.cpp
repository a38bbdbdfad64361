#include <string.h>

#include <algorithm>

#include <acme_agent/base/secret.hpp>

namespace acme_agent {

void Secret::append(std::string_view text) {
  if (text_.capacity() - text_.size() < text.size()) {
    Secret larger;
    larger.text_.reserve(std::max(text_.size() + text.size(), 2 * text_.capacity()));
    larger.text_ = text_;
    larger.text_ += text;
    text_.swap(larger.text_);
  } else {
    text_ += text;
  }
}

void Secret::wipe() noexcept {
  ::explicit_bzero(text_.data(), text_.size());
  text_.clear();
}

}  // namespace acme_agent
