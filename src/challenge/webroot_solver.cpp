#include <unistd.h>

#include <utility>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/challenge/webroot_solver.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {
namespace {

class FilePresentation final : public Presentation {
 public:
  explicit FilePresentation(std::filesystem::path file) : file_(std::move(file)) {}
  ~FilePresentation() override { ::unlink(file_.c_str()); }

 private:
  const std::filesystem::path file_;
};

}  // namespace

std::unique_ptr<Presentation> WebrootSolver::present(const ChallengeAnswer& answer, const std::stop_token&) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder_, ignored))
    throw Error(Remedy::ask_operator, "there is no folder " + printable(folder_.native()) +
                                          ": --webroot is what the web server shows at http://" +
                                          answer.identifier.value + "/");
  try {
    const std::filesystem::path folder = folder_ / ".well-known" / "acme-challenge";
    make_folder(folder, 0755);
    // A token consists of characters of base64url (Challenge).
    std::filesystem::path file = folder / answer.token;
    write_file(file, answer.key_authorization, {std::nullopt, std::nullopt, 0644}, Sync::none);
    return std::make_unique<FilePresentation>(std::move(file));
  } catch (const Error& error) {
    throw error.while_doing("the challenge cannot be answered through --webroot");
  }
}

}  // namespace acme_agent
