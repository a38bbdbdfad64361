#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>

#include <acme_agent/base/error.hpp>
#include <acme_agent/challenge/webroot_solver.hpp>
#include <acme_agent/sys/file.hpp>

#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace acme_agent::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

const ChallengeAnswer answer = {{Identifier::Type::dns, "mydyn.example"}, "token_1", "token_1.thumbprint"};

struct Serving {
  TempDir root;
  WebrootSolver solver{root.path()};
  fs::path folder = root / ".well-known/acme-challenge";

  std::unique_ptr<Presentation> present() { return solver.present(answer, {}); }
  std::string content(const fs::path& file) const { return std::string(read_file(file)->reveal()); }
  mode_t mode(const fs::path& path) const {
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status.st_mode & 07777;
  }
};

}  // namespace

TEST_CASE("the web server finds the key authorization, without a line end, for as long as the presentation lives") {
  Serving t;
  CHECK(t.solver.type() == "http-01");
  auto presentation = t.present();
  CHECK(t.content(t.folder / "token_1") == "token_1.thumbprint");
  presentation.reset();
  CHECK_FALSE(fs::exists(t.folder / "token_1"));
  CHECK(fs::is_empty(t.folder));  // it stays, and nothing is left in it
}

TEST_CASE("everybody may read it, whatever the umask") {
  const mode_t before = ::umask(0077);
  Serving t;
  const auto presentation = t.present();
  ::umask(before);
  CHECK(t.mode(t.folder / "token_1") == 0644);
  CHECK(t.mode(t.folder) == 0755);
  CHECK(t.mode(t.root / ".well-known") == 0755);
}

TEST_CASE("a link that lies where the answer belongs is replaced, not followed") {
  Serving t;
  fs::create_directories(t.folder);
  std::ofstream(t.root / "precious") << "precious";
  fs::create_symlink(t.root / "precious", t.folder / "token_1");
  fs::create_symlink(t.root / "precious", t.folder / ".token_1.new");
  const auto presentation = t.present();
  CHECK(t.content(t.root / "precious") == "precious");
  CHECK(t.content(t.folder / "token_1") == "token_1.thumbprint");
}

TEST_CASE("what others keep in the folder is left alone") {
  Serving t;
  fs::create_directories(t.folder);
  fs::permissions(t.folder, fs::perms(0750));
  std::ofstream(t.folder / "other") << "other";
  t.present().reset();
  CHECK(t.content(t.folder / "other") == "other");
  CHECK(t.mode(t.folder) == 0750);
}

TEST_CASE("visits are not known, so that nobody waits for one") {
  Serving t;
  const auto presentation = t.present();
  CHECK(presentation->visits() == 0);
  CHECK_FALSE(presentation->wait_for_visit(0, 1h, {}));
}

TEST_CASE("a webroot that does not exist is an error that says what it should be, and is not made") {
  TempDir folder;
  WebrootSolver solver(folder / "missing");
  try {
    solver.present(answer, {});
    FAIL("it was shown");
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::ask_operator);
    CHECK(error.message() == "there is no folder " + (folder / "missing").string() +
                                 ": --webroot is what the web server shows at http://mydyn.example/");
  }
  CHECK_FALSE(fs::exists(folder / "missing"));
}

TEST_CASE("a webroot where nothing can be written is an error that names the option and the path") {
  Serving t;
  std::ofstream(t.root / ".well-known") << "a file";
  try {
    t.present();
    FAIL("it was shown");
  } catch (const Error& error) {
    CHECK(error.message().starts_with("the challenge cannot be answered through --webroot: cannot make the folder "));
  }
}

TEST_CASE("a webroot is looked at without leaving anything in it") {
  Serving t;
  CHECK_NOTHROW(check_webroot(t.root.path()));
  CHECK(fs::is_empty(t.root.path()));
  t.present().reset();
  CHECK_NOTHROW(check_webroot(t.root.path()));
}

TEST_CASE("a webroot that is none is told before it is needed") {
  Serving t;
  const auto complaint = [](const fs::path& folder) -> std::string {
    try {
      check_webroot(folder);
    } catch (const Error& error) {
      CHECK(error.remedy() == Remedy::ask_operator);
      return error.message();
    }
    return "none";
  };
  CHECK(complaint(t.root / "missing") == "there is no folder " + (t.root / "missing").string() +
                                             ": --webroot is what the web server shows at http://NAME/");
  std::ofstream(t.root / "file") << "a file";
  CHECK(complaint(t.root / "file").starts_with("there is no folder "));
  std::ofstream(t.root / ".well-known") << "a file";
  CHECK(complaint(t.root.path()) == "cannot write in " + (t.root / ".well-known").string() +
                                        ": Not a directory; let the user that runs acme-agent write there");
}
