#pragma once

#include <filesystem>

#include <acme_agent/challenge/solver.hpp>

namespace acme_agent {

/// http-01 (RFC 8555 8.3) through the folder of another web server. Who comes to see the answer is not known.
class WebrootSolver final : public Solver {
 public:
  /// `folder` is what that server shows at "/".
  explicit WebrootSolver(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::string type() const override { return "http-01"; }
  std::string describe() const override { return type() + " through " + folder_.string(); }
  /// Writes .well-known/acme-challenge/TOKEN, readable by everybody; the folders are made where they are missing, and
  /// stay.
  std::unique_ptr<Presentation> present(const ChallengeAnswer& answer, const std::stop_token& stop) override;

 private:
  const std::filesystem::path folder_;
};

/// Throws Error (ask_operator) if answers could not be written below this folder now.
void check_webroot(const std::filesystem::path& folder);

}  // namespace acme_agent
