#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/log.hpp>
#include <acme_agent/base/text.hpp>

#include "utf8.hpp"

namespace acme_agent {
namespace {

struct LevelStyle {
  std::string_view name;
  std::string_view padded;
  std::string_view colour;
  std::string_view priority;  ///< sd-daemon(3)
};
constexpr std::array<LevelStyle, 4> styles = {{{"error", "error", "\x1b[31m", "<3>"},
                                               {"warning", "warning", "\x1b[33m", "<4>"},
                                               {"info", "info ", "\x1b[32m", "<6>"},
                                               {"debug", "debug", "\x1b[2m", "<7>"}}};
constexpr std::string_view erase_line = "\r\x1b[K";

bool is_journal(int output) {
  const char* const stream = ::getenv("JOURNAL_STREAM");
  struct stat status {};
  if (stream == nullptr || ::fstat(output, &status) != 0) return false;
  return stream == std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

bool wants_colour() {
  const char* const no_colour = ::getenv("NO_COLOR");
  return no_colour == nullptr || *no_colour == '\0';
}

std::string json_string(std::string_view text) {
  std::string json = "\"";
  while (!text.empty()) {
    const std::size_t length = printable_length(text);
    if (length == 0 && static_cast<unsigned char>(text[0]) >= 0x80) {
      json += "\\ufffd";
    } else if (length == 0) {
      json += "\\u00" + to_hex(text.substr(0, 1));
    } else {
      if (text[0] == '"' || text[0] == '\\') json += '\\';
      json += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return json + '"';
}

std::string about(std::string_view certificate, std::string_view message) {
  const std::string text = printable(message, std::string_view::npos);
  return certificate.empty() ? text : printable(certificate) + ": " + text;
}

void write_all(int output, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(output, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // Nobody is left to be told.
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

Log::Log(LogLevel level, LogFormat format, const Clock& clock, int output)
    : output_(output),
      level_(level),
      format_(format),
      clock_(clock),
      terminal_(format == LogFormat::text && ::isatty(output) == 1),
      colour_(terminal_ && wants_colour()),
      journal_(is_journal(output)) {}

Log::~Log() {
  if (progress_shown_) write_all(output_, erase_line);
}

void Log::progress(std::string_view message, std::string_view certificate) {
  if (!terminal_) return debug(message, certificate);
  if (level_ < LogLevel::info) return;
  std::string line = about(certificate, message);
  winsize window{};
  if (::ioctl(output_, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) line = printable(line, window.ws_col - 1);
  const std::lock_guard lock(mutex_);
  write_all(output_, std::string(erase_line) + line);
  progress_shown_ = true;
}

void Log::write(LogLevel level, std::string_view message, std::string_view certificate) {
  if (level > level_) return;
  const LevelStyle& style = styles[static_cast<std::size_t>(level)];
  std::string line;
  if (format_ == LogFormat::json) {
    line = "{\"time\":\"" + format_rfc3339(clock_.now()) + "\",\"level\":\"" + std::string(style.name) +
           "\",\"message\":" + json_string(message);
    if (!certificate.empty()) line += ",\"certificate\":" + json_string(certificate);
    line += '}';
  } else if (journal_) {
    line = std::string(style.priority) + about(certificate, message);
  } else {
    line = format_rfc3339(clock_.now()) + ' ';
    line += colour_ ? std::string(style.colour) + std::string(style.padded) + "\x1b[0m" : std::string(style.padded);
    line += ' ' + about(certificate, message);
  }
  const std::lock_guard lock(mutex_);
  if (progress_shown_) line.insert(0, erase_line);
  progress_shown_ = false;
  write_all(output_, line + '\n');
}

}  // namespace acme_agent
