#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <acme_agent/base/log.hpp>

namespace acme_agent::test {

/// A Log that nobody reads.
class QuietLog : public Log {
 public:
  explicit QuietLog(const Clock& clock)
      : Log(LogLevel::debug, LogFormat::text, clock, getenv("ACME_AGENT_TEST_LOG") ? 2 : null_device()) {}

 private:
  static int null_device() {
    static const int descriptor = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    return descriptor;
  }
};

}  // namespace acme_agent::test
