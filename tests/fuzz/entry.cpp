#include <signal.h>

#include <cstddef>
#include <cstdint>

#include "fuzz.hpp"

namespace {

/// libFuzzer's alarm, which comes every few seconds, must not end what a target waits for.
bool restart_after_alarms() {
  struct sigaction alarm {};
  if (::sigaction(SIGALRM, nullptr, &alarm) != 0) return false;
  alarm.sa_flags |= SA_RESTART;
  return ::sigaction(SIGALRM, &alarm, nullptr) == 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool restarted = restart_after_alarms();
  acme_agent::fuzz::expect(restarted, "alarms do not interrupt");
  acme_agent::fuzz::one_input({reinterpret_cast<const char*>(data), size});
  return 0;
}
