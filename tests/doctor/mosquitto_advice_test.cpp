#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <acme_agent/crypto/revocation_list.hpp>
#include <acme_agent/doctor/mosquitto_advice.hpp>

#include "support/temp_dir.hpp"
#include "support/test_ca.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;
using test::TempDir;

namespace {

namespace fs = std::filesystem;

/// A machine in a folder: /certs is the broker's folder, /etc/mosquitto/mosquitto.conf its configuration.
struct Machine {
  TempDir folder;
  MosquittoCase mosquitto;

  Machine() {
    fs::create_directories(folder / "certs/..1");
    fs::create_directories(folder / "etc/mosquitto/conf.d");
    mosquitto.conf = "/etc/mosquitto/mosquitto.conf";
    mosquitto.root = folder.path();
    mosquitto.cert_dir = folder / "certs";
  }

  void write(const std::string& path, const std::string& text) { std::ofstream(folder / path) << text; }

  /// All findings, a line each: verdict, evidence and remedy.
  std::string says(const std::string& conf) {
    write("etc/mosquitto/mosquitto.conf", conf);
    std::string text;
    for (const Finding& finding : examine_mosquitto(mosquitto)) {
      text += finding.verdict == Finding::Verdict::bad ? "bad: " : "hint: ";
      text += finding.evidence + " | " + finding.remedy + "\n";
    }
    return text;
  }
};

const std::string sound =
    "# the broker\n\nlistener 1883\nlistener 8883\ncertfile /certs/fullchain.pem\nkeyfile /certs/privkey.pem\n";
const std::string line_7 = "/etc/mosquitto/mosquitto.conf:7 says ";

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a configuration as in our examples has nothing wrong") {
  Machine t;
  CHECK(t.says(sound).empty());
  CHECK(t.says("listener 8883\ncertfile /certs/combined.pem\nkeyfile /certs/combined.pem\n").empty());
}

TEST_CASE("files of include_dir count, and only those that end in .conf") {
  Machine t;
  t.write("etc/mosquitto/conf.d/tls.conf", sound);
  t.write("etc/mosquitto/conf.d/old.conf.bak", "listener 8884\ncertfile /certs/cert.pem\nkeyfile /certs/privkey.pem\n");
  CHECK(t.says("include_dir /etc/mosquitto/conf.d\n").empty());
}

TEST_CASE("a configuration that cannot be read is no verdict") {
  Machine t;
  const Findings findings = examine_mosquitto(t.mosquitto);
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].verdict == Finding::Verdict::hint);
  CHECK(contains(findings[0].evidence, "there is no /etc/mosquitto/mosquitto.conf"));
}

TEST_CASE("a broker that does not use our files at all is told how to") {
  Machine t;
  const std::string text = t.says("listener 8883\ncertfile /etc/ssl/certs/other.pem\nkeyfile /etc/ssl/other.key\n");
  CHECK(contains(text, "bad: /etc/mosquitto/mosquitto.conf has no listener that uses "));
  CHECK(contains(text, "/certs/fullchain.pem'"));
}

TEST_CASE("the leaf without its chain as certfile is found") {
  Machine t;
  CHECK(
      t.says("listener 8883\ncertfile /certs/cert.pem\nkeyfile /certs/privkey.pem\n") ==
      "bad: /etc/mosquitto/mosquitto.conf:2 says 'certfile /certs/cert.pem', so that the broker serves no whole chain, "
      "and devices refuse it | name fullchain.pem there\n");
}

TEST_CASE("the layout of most guides, with the chain as cafile, is found") {
  Machine t;
  const std::string text = t.says(sound + "cafile /certs/chain.pem\n");
  CHECK(contains(text, "bad: " + line_7 + "'cafile /certs/chain.pem': a reload does not read it"));
  CHECK(contains(text, "| remove that line"));
  CHECK_FALSE(contains(text, "is let in"));
  CHECK(contains(t.says(sound + "cafile /certs/chain.pem\nrequire_certificate true\n"),
                 "whoever that authority knows is let in"));
}

TEST_CASE("certificate and key from different folders, and a key that is none, are found") {
  Machine t;
  CHECK(contains(t.says("listener 8883\ncertfile /certs/fullchain.pem\nkeyfile /etc/ssl/other.key\n"),
                 "certificate and key of listener 8883 come from different folders"));
  CHECK(contains(t.says("listener 8883\ncertfile /certs/fullchain.pem\nkeyfile /certs/cert.pem\n"), "which is no key"));
}

TEST_CASE("the folder of one generation, which a renewal leaves behind, is found") {
  Machine t;
  fs::create_directory_symlink("..1", t.folder / "certs/..data");
  for (const std::string folder : {"/certs/..1", "/certs/..data"})
    CHECK(contains(t.says("listener 8883\ncertfile " + folder + "/fullchain.pem\nkeyfile " + folder + "/privkey.pem\n"),
                   "which is one generation of the files"));
}

TEST_CASE("TLS 1.3 alone is a hint, and bad where there are devices that do not speak it") {
  Machine t;
  CHECK(contains(t.says(sound + "tls_version tlsv1.3\n"), "hint: " + line_7 + "'tls_version tlsv1.3'"));
  CHECK(t.says(sound + "tls_version tlsv1.2\n").empty());
  t.mosquitto.tls12_devices = true;
  CHECK(contains(t.says(sound + "tls_version tlsv1.3\n"), "bad: " + line_7));
}

TEST_CASE("a public authority that may send clients is found, one's own is not") {
  Machine t;
  const test::TestCa ca;
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  t.mosquitto.held = ca.issue(key, {{Identifier::Type::dns, "mydyn.example"}}, {TimePoint(), TimePoint() + 24h});
  const std::string asks = sound + "require_certificate true\ncafile /etc/clients.pem\n";
  t.write("etc/clients.pem", test::TestCa().root_pem());
  CHECK(t.says(asks).empty());
  t.write("etc/clients.pem", ca.root_pem());
  CHECK(contains(t.says(asks), "whoever has a certificate of that authority is let in"));
  std::string bundle;
  for (int i = 0; i < 21; ++i) bundle += test::TestCa().root_pem();
  t.write("etc/clients.pem", bundle);
  CHECK(contains(t.says(asks), "whoever has a certificate of that authority is let in"));
}

TEST_CASE("a broker that anybody may use is a hint") {
  Machine t;
  CHECK(contains(t.says(sound + "allow_anonymous true\n"), "hint: " + line_7 + "'allow_anonymous true'"));
  CHECK(contains(t.says("allow_anonymous true\n" + sound), "hint: /etc/mosquitto/mosquitto.conf:1 says"));
  CHECK(t.says(sound + "allow_anonymous false\n").empty());
}

TEST_CASE("a bridge that shows our certificate as a client's is found") {
  Machine t;
  CHECK(contains(t.says(sound + "connection cloud\naddress cloud.example:8883\nbridge_certfile /certs/fullchain.pem\n"),
                 "public authorities certify servers, not clients"));
  CHECK(t.says(sound + "connection cloud\nbridge_certfile /etc/bridge.pem\n").empty());
}

TEST_CASE("files that a reload would trip over are found, each by its line") {
  Machine t;
  for (const std::string key : {"password_file", "acl_file", "crlfile"}) {
    t.write("etc/there", "");
    CHECK(t.says(key + " /etc/there\n" + sound).empty());
    CHECK(contains(t.says(key + " /etc/gone\n" + sound),
                   "bad: /etc/mosquitto/mosquitto.conf:1 says '" + key + " /etc/gone', and there is no such file: "));
  }
}

TEST_CASE("authorities of clients are read again only where there is a revocation list") {
  Machine t;
  t.write("etc/list", "");
  const std::string gone = sound + "cafile /etc/gone\n";
  CHECK(t.says(gone).empty());
  CHECK(contains(t.says(gone + "crlfile /etc/list\n"),
                 "bad: " + line_7 + "'cafile /etc/gone', and there is no such file"));
}

TEST_CASE("a file that the broker's user cannot read at a reload is found" * doctest::skip(::geteuid() != 0)) {
  Machine t;
  ::chmod(t.folder.path().c_str(), 0755);
  Process broker;
  broker.pid = ::getpid();
  broker.uid = broker.gid = 12345;
  t.mosquitto.broker = broker;
  t.write("etc/passwords", "");
  fs::permissions(t.folder / "etc/passwords", fs::perms::owner_read);
  CHECK(contains(t.says(sound + "password_file /etc/passwords\n"),
                 "bad: " + line_7 + "'password_file /etc/passwords', and user 12345"));
}

TEST_CASE("the authority of the devices beside the certificate is good where a reload reads it again") {
  Machine t;
  t.write("certs/devices-ca.pem", test::TestCa().root_pem());
  const std::string asks = sound + "cafile /certs/devices-ca.pem\nrequire_certificate true\n";
  CHECK(contains(t.says(asks), "hint: " + line_7 + "'cafile /certs/devices-ca.pem' without a crlfile"));
  const test::TestCa ca;
  t.mosquitto.now = TimePoint(std::chrono::sys_days{std::chrono::year{2026} / 11 / 23});
  const auto sign = [&](Duration left) {
    t.write("certs/devices.crl",
            make_crl({ca.intermediate_key(), ca.intermediate()},
                     {.number = 1, .this_update = t.mosquitto.now - 20 * 24h, .next_update = t.mosquitto.now + left}));
  };
  const std::string crlfile = asks + "crlfile /certs/devices.crl\n";
  sign(10 * 24h);
  CHECK(t.says(crlfile).empty());
  sign(6 * 24h);
  CHECK(contains(t.says(crlfile), "ends at 2026-11-29T00:00:00Z: from then on the broker refuses all devices"));
  sign(-1h);
  CHECK(contains(t.says(crlfile), "has ended at 2026-11-22T23:00:00Z: the broker refuses all devices"));
  t.write("certs/devices.crl", "no list\n");
  CHECK(contains(t.says(crlfile), "'crlfile /certs/devices.crl', which cannot be read"));
}

TEST_CASE("a list of revoked devices has no effect where nobody is asked for a certificate") {
  Machine t;
  const test::TestCa ca;
  t.write("list.crl", make_crl({ca.intermediate_key(), ca.intermediate()}, {.next_update = TimePoint() + 24h}));
  CHECK(contains(t.says(sound + "crlfile /list.crl\n"), "without 'require_certificate true'"));
}
