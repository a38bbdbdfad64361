#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include <acme_agent/base/clock.hpp>

namespace acme_agent {

enum class LogLevel { error, warning, info, debug };
enum class LogFormat { text, json };

/// The one façade for what the program tells its operator. Safe from every thread.
///
/// Text lines carry a time, unless they go to the journal, which has its own (they carry its priority instead); levels
/// are coloured on a terminal without NO_COLOR. JSON lines are objects: time, level, message and, where the line is
/// about one certificate, certificate. Control characters are escaped in both.
class Log {
 public:
  /// Writes to the open descriptor `output`, which must outlive it.
  Log(LogLevel level, LogFormat format, const Clock& clock, int output = 2);
  ~Log();

  void error(std::string_view message, std::string_view certificate = {}) {
    write(LogLevel::error, message, certificate);
  }
  void warning(std::string_view message, std::string_view certificate = {}) {
    write(LogLevel::warning, message, certificate);
  }
  void info(std::string_view message, std::string_view certificate = {}) {
    write(LogLevel::info, message, certificate);
  }
  void debug(std::string_view message, std::string_view certificate = {}) {
    write(LogLevel::debug, message, certificate);
  }

  /// What is going on right now, for someone who watches: on a terminal it stands on the last line until the next
  /// message or progress replaces it; elsewhere it is a debug message.
  void progress(std::string_view message, std::string_view certificate = {});

 private:
  void write(LogLevel level, std::string_view message, std::string_view certificate);

  const int output_;
  const LogLevel level_;
  const LogFormat format_;
  const Clock& clock_;
  const bool terminal_;
  const bool colour_;
  const bool journal_;
  std::mutex mutex_;
  bool progress_shown_ = false;
};

}  // namespace acme_agent
