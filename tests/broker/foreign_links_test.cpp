#include <unistd.h>

#include <string>

#include <acme_agent/sys/generations.hpp>

#include "broker/deploying.hpp"

namespace acme_agent::test {
namespace {

constexpr uid_t broker_user = 23456;

/// A deployed pair, and links that the user of the broker put into its folder: it may not read what they lead to.
struct LinksOfTheBroker : Deploying {
  LinksOfTheBroker() { deployed_before(rsa_key()); }

  static void link(const fs::path& name, const fs::path& target) {
    fs::remove(name);
    fs::create_symlink(target, name);
    REQUIRE(::lchown(name.c_str(), broker_user, broker_user) == 0);
  }

  fs::path guarded(const std::string& content) {
    write_file(dir / "guarded", content, {{}, {}, 0600});
    return dir / "guarded";
  }

  /// Content that a file anywhere in the folder has, other than through a link.
  bool lies_anywhere(const std::string& words) const {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_symlink() || !entry.is_regular_file()) continue;
      if (read_file(entry.path())->reveal().find(words) != std::string_view::npos) return true;
    }
    return false;
  }
};

bool are_skipped() {
  return ::geteuid() != 0;  // who is not root can give no link away, and has nothing to guard from the broker
}

TEST_CASE("a link in place of what was shown before shows nobody what it leads to") {
  if (are_skipped()) return;
  LinksOfTheBroker t;
  LinksOfTheBroker::link(t.folder / "..shown", t.guarded("hash of a password"));
  bool shown = false;
  t.processes.on_signal = [&](const Process&, int) { shown = shown || t.lies_anywhere("hash of a password"); };
  t.deploy(t.pair(rsa_key()));
  CHECK_FALSE(shown);
  CHECK_FALSE(t.lies_anywhere("hash of a password"));
}

TEST_CASE("a link among the files for devices, in a generation of the broker's own making, leads nowhere") {
  if (are_skipped()) return;
  LinksOfTheBroker t;
  fs::create_directory(t.folder / "..77");
  for (const std::string& name : all_files) fs::copy_file(t.folder / name, t.folder / "..77" / name);
  LinksOfTheBroker::link(t.folder / "..77" / "devices.crl", t.guarded("key of another"));
  LinksOfTheBroker::link(t.folder / "..data", "..77");
  t.deploy(t.pair(rsa_key()));
  CHECK(fs::read_symlink(t.folder / "..data") == "..78");
  CHECK_FALSE(t.lies_anywhere("key of another"));
}

TEST_CASE("a link in place of one of our files is replaced, and what it leads to is not kept for a way back") {
  if (are_skipped()) return;
  LinksOfTheBroker t;
  const fs::path private_folder = t.dir / "root";
  fs::create_directory(private_folder);
  fs::permissions(private_folder, fs::perms(0700));
  write_file(private_folder / "notes", "guarded by its folder", {{}, {}, 0644});
  LinksOfTheBroker::link(t.folder / "chain.pem", private_folder / "notes");
  const CertifiedKey held = t.pair(rsa_key());
  t.deploy(held);
  CHECK(t.lies(held));
  CHECK_FALSE(t.lies_anywhere("guarded by its folder"));
}

TEST_CASE("a link to the key of another service, beside its certificate, does not bring that key") {
  if (are_skipped()) return;
  LinksOfTheBroker t;
  const CertifiedKey web = t.pair(other_rsa_key());
  LinksOfTheBroker::link(t.folder / "privkey.pem", t.guarded(std::string(web.key.to_pem().reveal())));
  fs::remove(t.folder / "fullchain.pem");
  write_file(t.folder / "fullchain.pem", web.chain.pem(), {});  // as the web server shows it to everybody
  CHECK_FALSE(Deployer::deployed(t.target)->chain == web.chain);
  const CertifiedKey held = t.pair(rsa_key());
  t.deploy(held);
  CHECK(t.lies(held));
  CHECK_FALSE(t.lies_anywhere(std::string(web.key.to_pem().reveal())));
}

TEST_CASE("a link of root's to files elsewhere is followed, and what it leads to can come back") {
  Deploying t;
  const CertifiedKey before = t.pair(rsa_key(), 30 * day);
  fs::create_directory(t.folder);
  write_file(t.dir / "elsewhere.pem", before.key.to_pem().reveal(), {{}, {}, 0600});
  fs::create_symlink(t.dir / "elsewhere.pem", t.folder / "privkey.pem");
  write_file(t.folder / "server.crt", before.chain.pem(), {});
  fs::create_symlink("server.crt", t.folder / "fullchain.pem");
  REQUIRE(Deployer::deployed(t.target).has_value());
  CHECK(Deployer::deployed(t.target)->chain == before.chain);
  t.deploy(t.pair(rsa_key()));
  const fs::path generation = GenerationFolder(t.folder).previous().value();
  CHECK(read_file(generation / "fullchain.pem")->reveal() == before.chain.pem());
  CHECK(read_file(generation / "privkey.pem")->reveal() == before.key.to_pem().reveal());
}

}  // namespace
}  // namespace acme_agent::test
