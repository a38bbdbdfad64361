#pragma once

#include <filesystem>
#include <set>
#include <string>

namespace acme_agent {

/// What deployments into one folder remember there from one to the next, also over a crash.
class DeploymentNotes {
 public:
  explicit DeploymentNotes(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// The generation that the broker was told about, and the processes that were told; empty: none. Throws Error.
  std::string told() const;
  void write_told(const std::string& text) const;

  /// The generation that the broker was restarted for; empty: none. Throws Error.
  std::string restarted_for() const;
  void write_restarted_for(const std::string& generation) const;

  /// What showed a certificate before this reload, or before that of a deployment that was cut off, so that a crash
  /// between a reload and the look after it does not hide that the handshakes were better before.
  std::set<std::string> add_shown(std::set<std::string> addresses) const;
  void forget_shown() const;

 private:
  std::string read(const char* name) const;
  void write(const char* name, const std::string& text) const;

  std::filesystem::path folder_;
};

}  // namespace acme_agent
