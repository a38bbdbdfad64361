#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/challenge/webroot_solver.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

void refuse_missing(const fs::path& folder, const std::string& name) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored))
    throw Error(Remedy::ask_operator, "there is no folder " + printable(folder.native()) +
                                          ": --webroot is what the web server shows at http://" + name + "/");
}

fs::path folder_of_answers(const fs::path& webroot) {
  return webroot / ".well-known" / "acme-challenge";
}

class FilePresentation final : public Presentation {
 public:
  explicit FilePresentation(std::filesystem::path file) : file_(std::move(file)) {}
  ~FilePresentation() override { ::unlink(file_.c_str()); }

 private:
  const std::filesystem::path file_;
};

}  // namespace

std::unique_ptr<Presentation> WebrootSolver::present(const ChallengeAnswer& answer, const std::stop_token&) {
  refuse_missing(folder_, answer.identifier.value);
  try {
    const fs::path folder = folder_of_answers(folder_);
    make_folder(folder, 0755);
    // A token consists of characters of base64url (Challenge).
    std::filesystem::path file = folder / answer.token;
    write_file(file, answer.key_authorization, {std::nullopt, std::nullopt, 0644}, Sync::none);
    return std::make_unique<FilePresentation>(std::move(file));
  } catch (const Error& error) {
    throw error.while_doing("the challenge cannot be answered through --webroot");
  }
}

void check_webroot(const fs::path& folder) {
  refuse_missing(folder, "NAME");
  std::error_code ignored;
  fs::path deepest = folder_of_answers(folder);
  while (!fs::exists(deepest, ignored)) deepest = deepest.parent_path();
  if (::faccessat(AT_FDCWD, (deepest / ".").c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    throw Error(Remedy::ask_operator, "cannot write in " + printable(deepest.native()) + ": " +
                                          std::generic_category().message(errno) +
                                          "; let the user that runs acme-agent write there");
}

}  // namespace acme_agent
