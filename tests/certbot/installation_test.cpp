#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <acme_agent/base/error.hpp>
#include <acme_agent/certbot/installation.hpp>

#include "support/temp_dir.hpp"
#include "support/test_ca.hpp"

using namespace acme_agent;
using namespace acme_agent::test;

namespace fs = std::filesystem;

namespace {

using Words = std::vector<std::string>;

// RFC 7515 A.3.1
constexpr const char* account_key =
    R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
    R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"})";

constexpr const char* server = "https://ca.example:14000/dir";

struct Certbot {
  TempDir dir{};
  TestCa ca{};
  PrivateKey key = PrivateKey::generate(KeyType::ec256);
  fs::path account = dir / "accounts/ca.example:14000/dir/1a";

  Certbot() {
    write(account / "private_key.json", account_key);
    write(account / "regr.json",
          R"({"body": {"contact": ["tel:1", "mailto:me@mydyn.example"]}, "uri": "https://ca.example:14000/acct/1"})");
    write(account / "meta.json", R"({"creation_dt": "2026-11-23T04:59:18Z"})");
    lineage("b.example");
  }

  void write(const fs::path& path, std::string_view text) const {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  void conf(const std::string& name, const std::string& params) const {
    write(dir / ("renewal/" + name + ".conf"),
          "version = 2.1.0\n[renewalparams]\nserver = " + std::string(server) + "\naccount = 1a\n" + params);
  }

  void lineage(const std::string& name, const std::string& params = "authenticator = standalone\n") const {
    conf(name, params);
    const TimePoint begin = std::chrono::sys_days(std::chrono::year(2026) / 11 / 1);
    const CertificateChain chain =
        ca.issue(key, {{Identifier::Type::dns, "a.b.example"}, {Identifier::Type::dns, name}},
                 {begin, begin + std::chrono::days(90)});
    write(dir / ("archive/" + name + "/fullchain1.pem"), chain.pem());
    write(dir / ("archive/" + name + "/privkey1.pem"), key.to_pem().reveal());
    fs::create_directories(dir / ("live/" + name));
    for (const std::string file : {"fullchain", "privkey"})
      fs::create_symlink("../../archive/" + name + "/" + file + "1.pem", dir / ("live/" + name + "/" + file + ".pem"));
  }

  CertbotFolder folder() const { return CertbotFolder(dir.path()); }

  Translation translated(const std::string& params) const {
    conf("b.example", params);
    return translate(folder().lineage("b.example"));
  }

  std::string refusal(const std::string& name = "b.example") const {
    try {
      const CertbotLineage lineage = folder().lineage(name);
      folder().account(lineage.server, lineage.account);
    } catch (const Error& error) {
      CHECK(error.message().size() < 700);
      return error.message();
    }
    return "accepted";
  }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool has(const std::vector<std::string>& lines, const std::string& line) {
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

}  // namespace

TEST_CASE("a lineage is read with its pair, and with the account that has ordered it") {
  const Certbot t;
  t.lineage("a.example");
  t.write(t.dir / "renewal/README", "");
  CHECK(t.folder().lineages() == Words{"a.example", "b.example"});
  const CertbotLineage lineage = t.folder().lineage("b.example");
  CHECK(lineage.server == server);
  CHECK(lineage.pair.key.thumbprint() == t.key.thumbprint());
  const CertbotAccount account = t.folder().account(lineage.server, lineage.account);
  CHECK(account.url == "https://ca.example:14000/acct/1");
  CHECK(account.contact == "me@mydyn.example");
  CHECK(account.key.type() == KeyType::ec256);
  CHECK(account.since.has_value());
}

TEST_CASE("a folder that is none of certbot's is refused, with an example of one that is") {
  const TempDir dir;
  CHECK_THROWS_WITH_AS(CertbotFolder(dir.path()), doctest::Contains("/etc/letsencrypt"), Error);
  CHECK_THROWS_WITH_AS(CertbotFolder("/dev/null"), doctest::Contains("/etc/letsencrypt"), Error);
}

TEST_CASE("links in a circle, pipes, huge files and rubbish are one sentence that names the file") {
  const Certbot t;
  const fs::path chain = t.dir / "live/b.example/fullchain.pem";
  const fs::path key = t.dir / "live/b.example/privkey.pem";
  fs::remove(chain);
  CHECK(t.refusal() == "there is no " + chain.string());
  fs::create_symlink("fullchain.pem", chain);
  CHECK(contains(t.refusal(), chain.string() + ": too many symbolic links"));
  fs::remove(chain);
  fs::create_symlink("/dev/zero", chain);
  CHECK(contains(t.refusal(), chain.string() + ": it is not a regular file"));
  fs::remove(chain);
  t.write(chain, std::string(2 << 20, 'x'));
  CHECK(contains(t.refusal(), chain.string()));
  t.write(chain, "rubbish");
  CHECK(contains(t.refusal(), chain.string()));
  t.lineage("c.example");
  t.write(t.dir / "archive/c.example/privkey1.pem", PrivateKey::generate(KeyType::ec256).to_pem().reveal());
  CHECK(contains(t.refusal("c.example"), "is not that of the certificate beside it"));
  t.conf("c.example", "\x01");
  CHECK(contains(t.refusal("c.example"), "c.example.conf: line 5: there are control characters"));
  t.write(t.dir / "renewal/c.example.conf", "[renewalparams]\nserver = http://ca.example/dir\n");
  CHECK(contains(t.refusal("c.example"), "not an https:// URL"));
  CHECK(contains(t.refusal("../b.example"), "the name has other characters"));
}

TEST_CASE("an account that is rubbish is refused, and names lead nowhere else") {
  const Certbot t;
  for (const char* rubbish : {"", "[]", "{", "null", "{\"kty\": 1}", "{\"kty\": \"EC\"}"}) {
    t.write(t.account / "private_key.json", rubbish);
    CHECK(contains(t.refusal(), "private_key.json: "));
  }
  t.write(t.account / "private_key.json", account_key);
  for (const char* rubbish : {"", "{}", "{\"uri\": 1}", "{\"uri\": \"http://ca.example/1\"}",
                              "{\"uri\": \"https://ca.example/\\n\"}", "{\"body\": 1, \"uri\": \"\"}"}) {
    t.write(t.account / "regr.json", rubbish);
    CHECK(contains(t.refusal(), "regr.json: "));
  }
  for (const char* odd : {R"({"uri": "https://ca.example/1"})", R"({"uri": "https://ca.example/1", "body": []})",
                          R"({"uri": "https://ca.example/1", "body": {"contact": [1, {}]}})"}) {
    t.write(t.account / "regr.json", odd);
    CHECK(t.folder().account(server, "1a").contact.empty());
  }
  CHECK_THROWS_AS(t.folder().account("https://ca.example/../..", "1a"), Error);
  CHECK_THROWS_AS(t.folder().account(server, "../1a"), Error);
  CHECK_THROWS_AS(t.folder().account(server, ""), Error);
}

TEST_CASE("standalone becomes http-01 at the same port, and the key stays what it is") {
  const Certbot t;
  const Translation plain = t.translated("authenticator = standalone\n");
  CHECK(has(plain.lines, "domain = b.example"));
  CHECK(has(plain.lines, "domain = a.b.example"));
  CHECK(has(plain.lines, "key-type = ec256"));
  CHECK(has(plain.lines, "challenge = http-01"));
  CHECK(plain.left.empty());
  const Translation elsewhere = t.translated(
      "authenticator = standalone\nhttp01_port = 8080\nhttp01_address = ::1\nreuse_key = True\n"
      "preferred_chain = ISRG Root X1\n");
  CHECK(has(elsewhere.lines, "http-listen = [::1]:8080"));
  CHECK(has(elsewhere.lines, "reuse-key = yes"));
  CHECK(has(elsewhere.lines, "preferred-chain = ISRG Root X1"));
}

TEST_CASE("one webroot is taken over, several are somebody's choice") {
  const Certbot t;
  const std::string begin = "authenticator = webroot\nwebroot_path = /old,\n[[webroot_map]]\nb.example = /www\n";
  const Translation one = t.translated(begin + "a.b.example = /www\n");
  CHECK(has(one.lines, "webroot = /www"));
  CHECK(one.left.empty());
  const Translation two = t.translated(begin + "a.b.example = /other\n");
  CHECK(has(two.lines, "# webroot = /www"));
  CHECK(two.left.size() == 1);
  CHECK(has(t.translated("authenticator = webroot\nwebroot_path = /old,\n").lines, "webroot = /old"));
}

TEST_CASE("manual hooks for the DNS become ours unless they need a shell") {
  const Certbot t;
  const std::string begin = "authenticator = manual\npref_challs = dns-01,\nmanual_auth_hook = ";
  const Translation both = t.translated(begin + "/bin/set --fast\nmanual_cleanup_hook = /bin/unset\n");
  CHECK(has(both.lines, "dns-hook = /bin/set --fast"));
  CHECK(has(both.lines, "dns-hook = /bin/unset"));
  CHECK(both.left.empty());
  CHECK(has(t.translated(begin + "/bin/set\n").lines, "dns-hook = /bin/true"));
  const Translation shell = t.translated(begin + "'/bin/set $HOME; true'\n");
  CHECK(has(shell.lines, "# dns-hook = /bin/set $HOME; true"));
  CHECK(shell.left.size() == 1);
}

TEST_CASE("what has no like here is named: plugins, hooks, and lines that nobody understands") {
  const Certbot t;
  const Translation plugin = t.translated("authenticator = dns-cloudflare\ndns_cloudflare_credentials = /x\n");
  CHECK(has(plugin.lines, "challenge = dns-01"));
  REQUIRE(plugin.left.size() == 1);
  CHECK(contains(plugin.left[0], "'dns-cloudflare' is a plugin of certbot's: set dns-update"));
  CHECK(contains(t.translated("authenticator = nginx\n").left.at(0), "set webroot"));
  CHECK(contains(t.translated("authenticator = xyzzy\n").left.at(0), "'xyzzy' is not known here"));
  CHECK(contains(t.translated("").left.at(0), "names no authenticator"));
  const Translation rest = t.translated(
      "authenticator = standalone\nrenew_hook = /bin/reload now\nmust_staple = True\nautorenew = False\nfrobnicate = "
      "1\n");
  CHECK(has(rest.lines, "# reload = command:/bin/reload now"));
  CHECK(rest.left.size() == 4);
  CHECK(contains(rest.left.back(), "not understood: frobnicate"));
}
