#include <doctest/doctest.h>

#include <fstream>
#include <set>

#include <acme_agent/store/state.hpp>

#include "store/disk.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace acme_agent::test;

namespace {

namespace fs = std::filesystem;

const std::string letsencrypt = "https://acme-v02.api.letsencrypt.org/directory";
const std::string account_url = "https://acme-v02.api.letsencrypt.org/acme/acct/1";

struct AccountsOnDisk {
  TempDir dir;
  Accounts accounts{dir / "accounts"};

  Account save(const std::string& url) const {
    const Account account{PrivateKey::generate(KeyType::ec256), url, "me@mydyn.example"};
    accounts.save(letsencrypt, account);
    return account;
  }
  /// Of the only account.
  fs::path folder() const { return fs::directory_iterator(dir / "accounts")->path(); }
};

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

}  // namespace

TEST_CASE("an account comes back as it was saved") {
  AccountsOnDisk t;
  CHECK_FALSE(t.accounts.load(letsencrypt));
  const Account saved = t.save(account_url);
  const auto loaded = t.accounts.load(letsencrypt);
  REQUIRE(loaded);
  CHECK(loaded->url == account_url);
  CHECK(loaded->contact == "me@mydyn.example");
  CHECK(loaded->key.thumbprint() == saved.key.thumbprint());
  CHECK_FALSE(t.accounts.load(letsencrypt + "2"));
}

TEST_CASE("an account has another stamp whenever it was saved or its key was exchanged, and the same one else") {
  AccountsOnDisk t;
  const std::string none = t.accounts.stamp(letsencrypt);
  t.save("");
  const std::string unregistered = t.accounts.stamp(letsencrypt);
  t.save(account_url);
  const std::string registered = t.accounts.stamp(letsencrypt);
  CHECK(registered == t.accounts.stamp(letsencrypt));
  put(t.folder() / "key.pem", "rubbish");
  CHECK(std::set{none, unregistered, registered, t.accounts.stamp(letsencrypt)}.size() == 4);
}

TEST_CASE("the folder of an account can be told by its name") {
  AccountsOnDisk t;
  t.save(account_url);
  CHECK(t.folder().filename().string().starts_with("acme-v02.api.letsencrypt.org-directory-"));
}

TEST_CASE("no two directory URLs share a folder, however alike their safe names are") {
  AccountsOnDisk t;
  const std::vector<std::string> urls = {"https://ca.example/dir",
                                         "https://ca.example:443/dir",
                                         "https://ca.example/dir/",
                                         "https://ca.example/dir?a",
                                         "https://ca.example/dir#a",
                                         "https://ca.example/-dir",
                                         "https://ca.example//dir",
                                         "https://CA.example/dir",
                                         "http://ca.example/dir",
                                         "https://[::1]:14000/dir",
                                         "..",
                                         "../../etc",
                                         "",
                                         "https://ca.example/\n\x01",
                                         "https://ca.example/" + std::string(2000, 'a'),
                                         "https://ca.example/" + std::string(2001, 'a')};
  for (const std::string& url : urls) t.accounts.save(url, {PrivateKey::generate(KeyType::ec256), "of " + url, ""});
  CHECK(names_in(t.dir / "accounts").size() == urls.size());
  CHECK(names_in(t.dir.path()) == std::set<std::string>{"accounts"});
  for (const std::string& name : names_in(t.dir / "accounts")) {
    CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
          std::string::npos);
  }
  for (const std::string& url : urls) {
    const auto loaded = t.accounts.load(url);
    REQUIRE(loaded);
    CHECK(loaded->url == "of " + url);
  }
}

TEST_CASE("keys of accounts are for nobody else, whatever the umask is") {
  for (const mode_t mask : {mode_t{0}, mode_t{077}, mode_t{0777}}) {
    AccountsOnDisk t;
    const Umask umask(mask);
    t.save(account_url);
    CHECK(mode_of(t.folder()) == 0700);
    CHECK(mode_of(t.folder() / "key.pem") == 0600);
    CHECK(mode_of(t.folder() / "account.json") == 0600);
  }
}

TEST_CASE("an account without a sound account.json is still known by its key") {
  AccountsOnDisk t;
  const Account saved = t.save(account_url);
  std::vector<std::string> contents = rubbish();
  contents.push_back(R"({"version": 1, "directory": 7})");
  contents.push_back(R"({"version": 1, "url": []})");
  for (const std::string& content : contents) {
    CAPTURE(content.substr(0, 40));
    put(t.folder() / "account.json", content);
    const auto loaded = t.accounts.load(letsencrypt);
    REQUIRE(loaded);
    CHECK(loaded->url.empty());
    CHECK(loaded->key.thumbprint() == saved.key.thumbprint());
  }
  fs::remove(t.folder() / "account.json");
  CHECK(t.accounts.load(letsencrypt)->url.empty());
}

TEST_CASE("an account whose key is rubbish is none") {
  AccountsOnDisk t;
  t.save(account_url);
  const std::string pem = content_of(t.folder() / "key.pem");
  std::vector<std::string> contents = rubbish();
  contents.push_back(pem.substr(0, pem.size() / 2));
  for (const std::string& content : contents) {
    put(t.folder() / "key.pem", content);
    CHECK_FALSE(t.accounts.load(letsencrypt));
  }
  fs::remove(t.folder() / "key.pem");
  CHECK_FALSE(t.accounts.load(letsencrypt));
  put(t.folder() / "key.pem", pem);
  CHECK(t.accounts.load(letsencrypt)->url == account_url);
}

TEST_CASE("a key that cannot be read is not taken for a missing one") {
  AccountsOnDisk t;
  t.save(account_url);
  fs::remove(t.folder() / "key.pem");
  fs::create_directory(t.folder() / "key.pem");
  CHECK_THROWS_AS(t.accounts.load(letsencrypt), Error);
}

TEST_CASE("an account of a newer version is left to the operator") {
  AccountsOnDisk t;
  t.save(account_url);
  for (const std::string version : {"2", "18446744073709551615"}) {
    put(t.folder() / "account.json", "{\"version\": " + version + ", \"url\": 1}");
    const std::string complaint = complaint_of([&] { t.accounts.load(letsencrypt); });
    CHECK(complaint == (t.folder() / "account.json").string() + " was written by a newer acme-agent (version " +
                           version + "): upgrade this one, or move the file away");
  }
}

TEST_CASE("a folder that was copied from another server's is left to the operator") {
  AccountsOnDisk t;
  t.save(account_url);
  put(t.folder() / "account.json", R"({"version": 1, "directory": "https://other.example/dir", "url": "https://o/1"})");
  const std::string complaint = complaint_of([&] { t.accounts.load(letsencrypt); });
  CHECK(contains(complaint, "https://other.example/dir"));
  CHECK(contains(complaint, letsencrypt));
}

TEST_CASE("a crash between the two files of an account never gives a new key the URL of the old one") {
  AccountsOnDisk t;
  t.save(account_url);
  const std::string old_document = content_of(t.folder() / "account.json");
  const Account replaced = t.save("https://acme-v02.api.letsencrypt.org/acme/acct/2");
  put(t.folder() / "account.json", old_document);
  const auto loaded = t.accounts.load(letsencrypt);
  REQUIRE(loaded);
  CHECK(loaded->key.thumbprint() == replaced.key.thumbprint());
  CHECK(loaded->url.empty());
}

TEST_CASE("saving an account on a full disk leaves the old one") {
  AccountsOnDisk t;
  const Account saved = t.save(account_url);
  {
    const FullDisk full(100);
    CHECK_THROWS_AS(t.save("https://acme-v02.api.letsencrypt.org/acme/acct/2"), Error);
  }
  const auto loaded = t.accounts.load(letsencrypt);
  REQUIRE(loaded);
  CHECK(loaded->url == account_url);
  CHECK(loaded->key.thumbprint() == saved.key.thumbprint());
  CHECK(names_in(t.folder()) == std::set<std::string>{"account.json", "key.pem"});
}

TEST_CASE("the next key of an account lies beside the one in use, for nobody else, until it is forgotten") {
  AccountsOnDisk t;
  const Account saved = t.save(account_url);
  CHECK_FALSE(t.accounts.next_key(letsencrypt));
  const PrivateKey next = PrivateKey::generate(KeyType::ec256);
  t.accounts.save_next_key(letsencrypt, next);
  CHECK(mode_of(t.folder() / "key.pem.new") == 0600);
  CHECK(t.accounts.next_key(letsencrypt)->thumbprint() == next.thumbprint());
  CHECK(t.accounts.load(letsencrypt)->key.thumbprint() == saved.key.thumbprint());
  t.accounts.forget_next_key(letsencrypt);
  t.accounts.forget_next_key(letsencrypt);
  CHECK_FALSE(t.accounts.next_key(letsencrypt));
}

TEST_CASE("a next key that was cut short by a full disk or a crash is none") {
  AccountsOnDisk t;
  t.save(account_url);
  put(t.folder() / "key.pem.new", "-----BEGIN PRIVATE KEY-----\nMIG");
  CHECK_FALSE(t.accounts.next_key(letsencrypt));
}

TEST_CASE("an account that is set aside is none, and its key is kept") {
  AccountsOnDisk t;
  const Account saved = t.save(account_url);
  t.accounts.set_aside(letsencrypt);
  t.accounts.set_aside(letsencrypt);
  CHECK_FALSE(t.accounts.load(letsencrypt));
  CHECK(content_of(t.folder() / "key.pem.deactivated") == saved.key.to_pem().reveal());
}

TEST_CASE("the accounts that are here can be told, and since when") {
  AccountsOnDisk t;
  CHECK(t.accounts.servers().empty());
  const TimePoint since = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22};
  for (const std::string url : {"https://b.example/dir", "https://a.example/dir"})
    t.accounts.save(url, {PrivateKey::generate(KeyType::ec256), "https://x/1", "", since});
  CHECK(t.accounts.servers() == std::vector<std::string>{"https://a.example/dir", "https://b.example/dir"});
  CHECK(t.accounts.load("https://a.example/dir")->since == since);
}

TEST_CASE("a stray file beside the accounts hides none of them") {
  AccountsOnDisk t;
  t.save(account_url);
  std::ofstream(t.dir / "accounts/notes.txt") << "stray";
  CHECK(t.accounts.servers() == std::vector<std::string>{letsencrypt});
}
