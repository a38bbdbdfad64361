#pragma once

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/base/error.hpp>

namespace acme_agent::test {

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void put(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

inline mode_t mode_of(const std::filesystem::path& path) {
  return static_cast<mode_t>(std::filesystem::status(path).permissions());
}

/// The message of the Error that `action` throws; empty if it throws none.
template <class Action>
std::string complaint_of(Action action, Remedy remedy = Remedy::ask_operator) {
  try {
    action();
  } catch (const Error& error) {
    return error.remedy() == remedy ? error.message() : "wrong remedy: " + error.message();
  }
  return "";
}

inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

/// No file of ours, in every way that a disk or a hand can bring about.
inline std::vector<std::string> rubbish() {
  using namespace std::string_literals;
  return {""s,
          "\n"s,
          "{"s,
          "[]"s,
          "null"s,
          "\"text\""s,
          "\0\0\0\0\0\0\0\0"s,
          "\xff\xfe\x00{}"s,
          "{\"version\": \"1\"}"s,
          "{\"version\": 0}"s,
          "{\"version\": -1}"s,
          "{\"version\": 1.5}"s,
          "{\"version\": 1, \"url\": \"\xff\"}"s,
          std::string(100'000, '['),
          "{}" + std::string(10'000'000, ' ')};
}

/// A mask for new files as the operator's shell may have set it.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  ~Umask() { ::umask(before_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t before_;
};

/// Writing more than `bytes` to a file fails after those bytes, as on a full disk.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limited{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limited);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

}  // namespace acme_agent::test
