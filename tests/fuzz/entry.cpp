#include <cstddef>
#include <cstdint>

#include "fuzz.hpp"

/// Called by libFuzzer.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  acme_agent::fuzz::one_input({reinterpret_cast<const char*>(data), size});
  return 0;
}
