#pragma once

namespace acme_agent {

/// The deleter of a unique_ptr to what a C library frees by a function: one pointer wide, no conversions.
template <auto free_function>
struct Free {
  template <class T>
  void operator()(T* object) const noexcept {
    free_function(object);
  }
};

}  // namespace acme_agent
