#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <thread>

#include <acme_agent/authority/authority.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/revocation_list.hpp>

#include "support/fake_clock.hpp"
#include "support/temp_dir.hpp"
#include "support/verify.hpp"

using namespace acme_agent;
using acme_agent::test::FakeClock;
using acme_agent::test::TempDir;
using acme_agent::test::verify;
using namespace std::chrono;
using namespace std::chrono_literals;

namespace {

constexpr Duration a_day = 24h;
constexpr Duration a_year = 365 * a_day;

/// An authority with keys that cost nothing, a broker and its clients.
struct Lan {
  explicit Lan(AuthorityTerms with = {KeyType::ec256}) : terms(std::move(with)) { authority(); }

  Authority authority() const { return Authority::open_or_make(folder, terms, clock.now()); }
  CertificateChain serve(const std::string& name = "broker.lan") const {
    return authority().issue_server(key, {parse_identifier(name)}, clock.now());
  }
  CertificateChain admit(const std::string& name, Duration lifetime = 730 * a_day) const {
    return authority().issue_device(key, name, "tasmota", lifetime, clock.now());
  }
  /// What a client says that knows these roots.
  std::string client(const std::string& roots, const CertificateChain& served) const {
    return verify({roots, served.certificates(), clock.now(), true, "broker.lan"});
  }
  /// What a broker says that was told everything today; the device sends its certificate alone.
  std::string broker(const CertificateChain& device) const {
    return verify({authority().devices_ca_pem(clock.now()),
                   {device.leaf()},
                   clock.now(),
                   false,
                   "",
                   authority().devices_crl_pem(clock.now())});
  }
  std::string roots() const {
    std::string pem;
    for (const Certificate& root : authority().roots(clock.now())) pem += root.pem();
    return pem;
  }

  TempDir state;
  std::filesystem::path folder = state / "authority";
  AuthorityTerms terms;
  FakeClock clock;
  PrivateKey key = PrivateKey::generate(KeyType::ec256);
};

std::string complaint(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.message();
  }
  return "nothing was wrong";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

/// What the second has and the first has not.
std::filesystem::path new_folder(const std::filesystem::path& before, const std::filesystem::path& after) {
  for (const auto& entry : std::filesystem::directory_iterator(after))
    if (!std::filesystem::exists(before / entry.path().filename())) return entry.path();
  throw std::runtime_error("nothing was made");
}

std::filesystem::path only_folder_in(const std::filesystem::path& folder) {
  return std::filesystem::directory_iterator(folder)->path();
}

}  // namespace

TEST_CASE("an authority serves and admits from its first day on, with either kind of key") {
  for (const KeyType type : {KeyType::ec256, KeyType::rsa2048}) {
    Lan lan({type});
    const CertificateChain served = lan.serve();
    CHECK(lan.client(lan.roots(), served) == "ok");
    CHECK(served.certificates().size() == 2);
    CHECK(served.leaf().validity().not_after == lan.clock.now() + 90 * a_day);
    CHECK(lan.broker(lan.admit("sonoff-pow")) == "ok");
    CHECK(lan.authority().roots(lan.clock.now()).front().key_type() == type);
  }
}

TEST_CASE("what is there stays as it is, whatever the terms are later") {
  Lan lan;
  const std::string roots = lan.roots();
  const Authority again =
      Authority::open_or_make(lan.folder, {KeyType::rsa2048, {parse_name_constraint("lan")}}, lan.clock.now());
  CHECK(again.key_type() == KeyType::ec256);
  CHECK(again.name_constraints().empty());
  CHECK(lan.roots() == roots);
  CHECK_FALSE(Authority::open(lan.state / "elsewhere", {}).has_value());
}

TEST_CASE("nobody but its user may read anything of an authority") {
  Lan lan;
  lan.admit("sonoff-pow");
  lan.authority().devices_crl_pem(lan.clock.now());
  for (const auto& path : files_in(lan.folder)) {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CAPTURE(path.string());
    CHECK((status.st_mode & 077) == 0);
  }
}

TEST_CASE("over thirty years, who knows one root of those that are exported accepts every chain that is served") {
  if (!test::verifies_after_2038) {
    MESSAGE("skipped: short-time");
    return;
  }
  Lan lan;
  const TimePoint end = lan.clock.now() + 30 * a_year;
  std::set<std::string> all_roots;
  std::set<std::string> all_servers;
  std::string eighteen_months_ago = lan.roots();
  std::vector<std::pair<TimePoint, CertificateChain>> devices;
  while (lan.clock.now() < end) {
    lan.authority().keep(lan.clock.now());
    const CertificateChain served = lan.serve();
    for (const Certificate& root : lan.authority().roots(lan.clock.now())) {
      CHECK(lan.client(root.pem(), served) == "ok");
      all_roots.insert(root.pem());
    }
    all_servers.insert(served.certificates()[1].pem());
    for (std::size_t i = 0; i + 1 < served.certificates().size(); ++i)
      CHECK(served.certificates()[i].validity().not_after <= served.certificates()[1].validity().not_after);
    CHECK(served.certificates().size() <= 3);
    const CertificateChain device = lan.admit("sonoff-pow", longest_device_lifetime);
    CHECK(device.leaf().validity().not_after == lan.clock.now() + longest_device_lifetime);
    devices.emplace_back(device.leaf().validity().not_after, device);
    // A client that comes back after eighteen months with what it was told then.
    const CertificateChain known = CertificateChain::from_pem(eighteen_months_ago);
    CHECK(lan.client(known.certificates().front().pem(), served) == "ok");
    eighteen_months_ago = lan.roots();
    lan.clock.advance(548 * a_day);
    for (const auto& [until, issued] : devices) CHECK((lan.broker(issued) == "ok") == (lan.clock.now() <= until));
  }
  CHECK(all_roots.size() == 3);
  CHECK(all_servers.size() > 6);
}

TEST_CASE("a client that knows only the first root accepts every chain until that root ends") {
  if (!test::verifies_after_2038) {
    MESSAGE("skipped: short-time");
    return;
  }
  Lan lan;
  const Certificate first = lan.authority().roots(lan.clock.now()).front();
  int chains = 0;
  while (lan.clock.now() + 90 * a_day < first.validity().not_after) {
    CHECK(lan.client(first.pem(), lan.serve()) == "ok");
    lan.clock.advance(90 * a_day);
    ++chains;
  }
  CHECK(chains > 80);
  CHECK(lan.authority().roots(lan.clock.now()).size() == 2);
}

TEST_CASE("a successor comes when half of a life is over, and not before") {
  Lan lan;
  const auto servers = [&] { return lan.authority().server_issuers(lan.clock.now()).front(); };
  const Certificate first = servers();
  const Duration life = first.validity().lifetime();
  lan.clock.set(first.validity().not_before + life / 2 - 1s);
  lan.authority().keep(lan.clock.now());
  CHECK(servers() == first);
  lan.clock.advance(1s);
  CHECK(servers() == first);  // looking changes nothing
  lan.authority().keep(lan.clock.now());
  CHECK(servers() != first);
  CHECK(lan.authority().roots(lan.clock.now()).size() == 1);

  const Validity root = lan.authority().roots(lan.clock.now()).front().validity();
  lan.clock.set(root.not_before + root.lifetime() / 2);
  CHECK(lan.serve().certificates().size() == 3);
  CHECK(lan.authority().roots(lan.clock.now()).size() == 2);
}

TEST_CASE("a device that is revoked is refused at once, and the others are not") {
  Lan lan;
  const CertificateChain stolen = lan.admit("stolen");
  const CertificateChain kept = lan.admit("kept");
  CHECK(lan.broker(stolen) == "ok");
  lan.clock.advance(1h);
  const auto revoked = lan.authority().revoke("stolen", 1, lan.clock.now());
  REQUIRE(revoked.size() == 1);
  CHECK(revoked.front().serial == stolen.leaf().serial());
  CHECK(lan.broker(stolen) == "certificate revoked");
  CHECK(lan.broker(kept) == "ok");
  const auto list = lan.authority().list();
  REQUIRE(list.size() == 2);
  CHECK(list.front().revoked == lan.clock.now());
  CHECK(list.front().reason == 1);
  CHECK_FALSE(list.back().revoked.has_value());
}

TEST_CASE("a serial number means one certificate, a name all that are in date") {
  Lan lan;
  const std::string ended = lan.admit("pow", 365 * a_day).leaf().serial();
  lan.clock.advance(366 * a_day);
  const std::string first = lan.admit("pow").leaf().serial();
  const std::string second = lan.admit("pow").leaf().serial();
  std::string with_colons;
  for (std::size_t i = 0; i < first.size(); i += 2) with_colons += (i == 0 ? "" : ":") + first.substr(i, 2);
  CHECK(lan.authority().revoke(with_colons, std::nullopt, lan.clock.now()).size() == 1);
  const auto rest = lan.authority().revoke("pow", std::nullopt, lan.clock.now());
  REQUIRE(rest.size() == 2);
  CHECK(rest.back().serial == second);
  CHECK(lan.authority().revoke(first, 1, lan.clock.now()).front().reason == std::nullopt);  // as it was
  for (const std::string& nothing : {ended, std::string("other")})
    CHECK(contains(complaint([&] { lan.authority().revoke(nothing, std::nullopt, lan.clock.now()); }),
                   "that is in date ("));
}

TEST_CASE("a list is signed again when half of its life is over, with a larger number, and never ends") {
  Lan lan;
  const CertificateChain device = lan.admit("pow", longest_device_lifetime);
  const std::string first = lan.authority().devices_crl_pem(lan.clock.now());
  lan.clock.advance(14 * a_day);
  CHECK(lan.authority().devices_crl_pem(lan.clock.now()) == first);
  std::uint64_t number = read_crls(first).back().number;
  for (int i = 0; i < 10; ++i) {
    lan.clock.advance(15 * a_day);
    const auto lists = read_crls(lan.authority().devices_crl_pem(lan.clock.now()));
    CHECK(lists.back().number > number);
    CHECK(*lists.back().next_update - lan.clock.now() > 14 * a_day);
    number = lists.back().number;
    CHECK(lan.broker(device) == "ok");
  }
}

TEST_CASE("a list by a clock that was ahead is replaced, and the number still grows") {
  Lan lan;
  const TimePoint right = lan.clock.now();
  lan.clock.advance(400 * a_day);
  const auto ahead = read_crls(lan.authority().devices_crl_pem(lan.clock.now()));
  lan.clock.set(right + 1h);
  const auto lists = read_crls(lan.authority().devices_crl_pem(lan.clock.now()));
  CHECK(lists.back().this_update <= lan.clock.now());
  CHECK(lists.back().number > ahead.back().number);
}

TEST_CASE("a clock that was far ahead for a while costs nothing") {
  Lan lan;
  const std::string roots = lan.roots();
  const TimePoint right = lan.clock.now();
  lan.clock.advance(60 * a_year);
  lan.serve();
  lan.clock.set(right + 1h);
  CHECK(lan.roots() == roots);
  CHECK(lan.client(roots, lan.serve()) == "ok");
  CHECK(lan.broker(lan.admit("pow")) == "ok");
}

TEST_CASE("the root that a clock years ahead has made never takes the place of the one that was made in time") {
  for (const Duration ahead : {9 * a_year, 14 * a_year, 60 * a_year}) {
    Lan lan;
    const TimePoint begin = lan.clock.now();
    const std::string first = lan.roots();
    lan.clock.advance(5 * a_year);
    const TimePoint right = lan.clock.now();
    lan.clock.advance(ahead);
    lan.serve();
    lan.clock.set(right + 1h);
    CHECK(lan.roots() == first);
    std::vector<std::pair<TimePoint, std::string>> told;  // a client every half year, each of the newest root
    while (lan.clock.now() < begin + 70 * a_year) {
      const CertificateChain served = lan.serve();
      told.emplace_back(lan.clock.now(), lan.authority().roots(lan.clock.now()).front().pem());
      CAPTURE(lan.clock.now().time_since_epoch().count());
      for (const auto& [since, root] : told) {
        CAPTURE(since.time_since_epoch().count());
        if (lan.clock.now() < since + 10 * a_year) CHECK(lan.client(root, served) == "ok");
      }
      for (const Certificate& root : lan.authority().roots(lan.clock.now()))
        CHECK(lan.client(root.pem(), served) == "ok");
      lan.clock.advance(182 * a_day);
    }
  }
}

TEST_CASE("by a clock before its making nothing is issued") {
  Lan lan;
  const auto before = files_in(lan.folder);
  lan.clock.set(sys_days{year{1970} / 1 / 2});
  CHECK(contains(complaint([&] { lan.serve(); }), "is the clock right?"));
  CHECK(contains(complaint([&] { lan.admit("pow"); }), "is the clock right?"));
  CHECK(contains(complaint([&] { lan.authority().keep(lan.clock.now()); }), "move that folder away and make another"));
  CHECK(files_in(lan.folder) == before);
}

TEST_CASE("what was revoked stays so when the records are lost, and the list goes on") {
  Lan lan;
  const CertificateChain stolen = lan.admit("stolen");
  const CertificateChain kept = lan.admit("kept");
  lan.authority().revoke("stolen", std::nullopt, lan.clock.now());
  std::ofstream(lan.folder / "issued.json") << "{";
  lan.clock.advance(20 * a_day);
  CHECK(lan.broker(stolen) == "certificate revoked");
  CHECK(lan.broker(kept) == "ok");
  CHECK(complaint([&] { lan.authority().list(); }) ==
        (lan.folder / "issued.json").string() + ": it is damaged (it is not JSON): put it back from a backup");
  CHECK(contains(complaint([&] { lan.admit("third"); }), "it is damaged"));
}

TEST_CASE("a list that is lost or damaged is made again from the records") {
  Lan lan;
  const CertificateChain stolen = lan.admit("stolen");
  lan.authority().revoke("stolen", std::nullopt, lan.clock.now());
  const std::filesystem::path list = only_folder_in(lan.folder / "roots") / "devices.crl";
  for (const char* content : {"", "rubbish"}) {
    std::ofstream(list) << content;
    CHECK(lan.broker(stolen) == "certificate revoked");
  }
  std::filesystem::remove(list);
  CHECK(lan.broker(stolen) == "certificate revoked");
}

TEST_CASE("a crash between the record of a revocation and the list is made good") {
  Lan lan;
  const CertificateChain stolen = lan.admit("stolen");
  lan.authority().devices_crl_pem(lan.clock.now());
  const std::filesystem::path list = only_folder_in(lan.folder / "roots") / "devices.crl";
  const std::string before = text_of(list);
  lan.authority().revoke("stolen", std::nullopt, lan.clock.now());
  std::ofstream(list) << before;
  CHECK(lan.broker(stolen) == "certificate revoked");
}

TEST_CASE("who has ended leaves the list some time later") {
  Lan lan;
  lan.admit("stolen", 365 * a_day);
  lan.authority().revoke("stolen", std::nullopt, lan.clock.now());
  const auto entries = [&] {
    return read_crls(lan.authority().devices_crl_pem(lan.clock.now())).back().revoked.size();
  };
  lan.clock.advance(400 * a_day);
  CHECK(entries() == 2);  // with the client to probe for this list
  lan.clock.advance(30 * a_day);
  CHECK(entries() == 2);  // the clients of this list and of the one before
  lan.clock.advance(100 * a_day);
  CHECK(entries() == 1);
}

TEST_CASE("of the two clients to probe with, one is let in and the other is not, over a roll-over as well") {
  if (!test::verifies_after_2038) {
    MESSAGE("skipped: short-time");
    return;
  }
  Lan lan;
  for (const Duration wait : {Duration(0h), 11 * a_year, 11 * a_year}) {
    lan.clock.advance(wait);
    lan.authority().keep(lan.clock.now());
    lan.authority().devices_crl_pem(lan.clock.now());
    const ProbeClients clients = lan.authority().probe_clients(lan.clock.now());
    CHECK(lan.broker(clients.good.chain) == "ok");
    CHECK(lan.broker(clients.revoked.chain) == "certificate revoked");
    CHECK(clients.good.chain.leaf().has_public_key_of(clients.good.key));
  }
}

TEST_CASE("who has the list of before a revocation lets in the client that goes with the one after it") {
  Lan lan;
  lan.admit("stolen");
  const std::string before = lan.authority().devices_crl_pem(lan.clock.now());
  lan.authority().revoke("stolen", std::nullopt, lan.clock.now());
  const std::string serial = lan.authority().probe_clients(lan.clock.now()).revoked.chain.leaf().serial();
  const auto is_on = [&](const std::string& list) {
    const std::vector<RevokedCertificate> revoked = read_crls(list).back().revoked;
    return std::ranges::find(revoked, serial, &RevokedCertificate::serial) != revoked.end();
  };
  CHECK(is_on(lan.authority().devices_crl_pem(lan.clock.now())));
  CHECK_FALSE(is_on(before));
}

TEST_CASE("clients to probe with that a crash has left without their list get another one") {
  Lan lan;
  const std::string list = lan.authority().devices_crl_pem(lan.clock.now());
  std::ofstream(only_folder_in(lan.folder / "roots") / "revoked.pem") << lan.admit("pow").leaf().pem();
  CHECK(lan.authority().devices_crl_pem(lan.clock.now()) != list);
  CHECK(lan.broker(lan.authority().probe_clients(lan.clock.now()).revoked.chain) == "certificate revoked");
  std::ofstream(only_folder_in(lan.folder / "roots") / "revoked.pem") << "rubbish";
  CHECK(lan.broker(lan.admit("lamp")) == "ok");
  CHECK(lan.broker(lan.authority().probe_clients(lan.clock.now()).revoked.chain) == "certificate revoked");
}

TEST_CASE("a revocation that cannot be signed is not on record, and can be asked for again") {
  Lan lan({.passphrase = [] { return std::optional(Secret("one")); }});
  lan.admit("stolen");
  const auto without = Authority::open(lan.folder, {});
  CHECK(contains(complaint([&] { without->revoke("stolen", std::nullopt, lan.clock.now()); }), "--ca-passphrase-file"));
  CHECK_FALSE(lan.authority().list().front().revoked.has_value());
  lan.authority().revoke("stolen", std::nullopt, lan.clock.now());
  CHECK(lan.authority().list().front().revoked.has_value());
  CHECK(contains(complaint([&] { lan.authority().revoke("stolen", std::nullopt, lan.clock.now() - 10 * a_year); }),
                 "is the clock right?"));
}

TEST_CASE("names outside the constraints are refused with a sentence, and nothing is issued") {
  Lan lan({KeyType::ec256, {parse_name_constraint("lan"), parse_name_constraint("192.168.0.0/16")}});
  CHECK(lan.client(lan.roots(), lan.serve()) == "ok");
  CHECK(complaint([&] { lan.serve("broker.example"); }) ==
        "our authority may not certify 'broker.example': it was made for lan and 192.168.0.0/16 only, and its root "
        "says so");
  CHECK(lan.serve("192.168.7.7").leaf().identifiers().size() == 1);
  CHECK(contains(complaint([&] { lan.admit("pow.kitchen"); }), "may not certify 'pow.kitchen'"));
  CHECK(lan.broker(lan.admit("pow.lan")) == "ok");
  CHECK(lan.broker(lan.admit("Pow.LAN")) == "ok");
  CHECK(lan.broker(lan.admit("pow-kitchen")) == "ok");
  CHECK(lan.authority().list().size() == 3);
}

TEST_CASE("a device's name is what may stand in a topic") {
  Lan lan;
  for (const std::string& good : {std::string("a"), std::string("0.-_Z"), std::string(64, 'x')})
    CHECK(lan.admit(good).leaf().subject() == good);
  for (const std::string& bad :
       {std::string(), std::string(65, 'x'), std::string("a/b"), std::string("#"), std::string("+"), std::string("-a"),
        std::string(".."), std::string("a b"), std::string("ä"), std::string("a\n"), std::string("a\0b", 3)}) {
    CAPTURE(bad);
    CHECK(contains(complaint([&] { lan.admit(bad); }), "cannot be the name of a device"));
  }
}

TEST_CASE("with a passphrase no key lies there open, and another one opens nothing") {
  AuthorityTerms terms{KeyType::ec256};
  std::string given = "correct horse";
  terms.passphrase = [&given] { return Secret(given); };
  Lan lan(terms);
  CHECK(lan.broker(lan.admit("pow")) == "ok");
  int keys = 0;
  for (const auto& path : files_in(lan.folder)) {
    const bool probe = path.filename() == "good_key.pem" || path.filename() == "revoked_key.pem";  // good for weeks
    if (!path.native().ends_with("_key.pem") || probe) continue;
    CHECK(text_of(path).starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    ++keys;
  }
  CHECK(keys == 3);
  given = "battery staple";
  CHECK(contains(complaint([&] { lan.serve(); }), "the private key is encrypted with another passphrase, or damaged"));
  const Authority without = Authority::open(lan.folder, {}).value();
  CHECK(contains(complaint([&] { without.issue_server(lan.key, {parse_identifier("a.lan")}, lan.clock.now()); }),
                 "is encrypted: give its passphrase by --ca-passphrase-file"));
  CHECK(without.roots(lan.clock.now()).size() == 1);  // what is public needs none
}

TEST_CASE("a passphrase that comes later closes every key, and one that does not fit changes none") {
  Lan lan;
  lan.clock.advance(11 * a_year);
  CHECK(lan.broker(lan.admit("pow")) == "ok");
  const std::string roots = lan.roots();
  CHECK_FALSE(lan.authority().keys_encrypted());
  lan.authority().encrypt_keys();  // without a passphrase
  CHECK_FALSE(lan.authority().keys_encrypted());
  lan.terms.passphrase = [] { return Secret("correct horse"); };
  lan.authority().encrypt_keys();
  int keys = 0;
  for (const auto& path : files_in(lan.folder))
    if (path.native().ends_with("_key.pem") && text_of(path).starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"))
      ++keys;
  CHECK(keys == 6);
  lan.authority().probe_clients(lan.clock.now());
  CHECK(lan.authority().keys_encrypted());
  CHECK(lan.roots() == roots);
  CHECK(lan.broker(lan.admit("plug")) == "ok");
  CHECK(lan.client(roots, lan.serve()) == "ok");

  const std::filesystem::path open = only_folder_in(lan.folder / "servers") / "servers_key.pem";
  const Secret pem = PrivateKey::from_encrypted_pem(Secret(text_of(open)), Secret("correct horse")).to_pem();
  std::ofstream(open) << pem.reveal();
  lan.terms.passphrase = [] { return Secret("battery staple"); };
  CHECK(contains(complaint([&] { lan.authority().encrypt_keys(); }), "encrypted with another passphrase"));
  CHECK(text_of(open) == pem.reveal());
}

TEST_CASE("a file that is missing or damaged is told in one sentence, and nothing is made in its place") {
  for (const char* name : {"root.pem", "root_key.pem", "devices.pem", "devices_key.pem"}) {
    for (const bool missing : {true, false}) {
      Lan lan;
      const std::filesystem::path path = only_folder_in(lan.folder / "roots") / name;
      if (missing)
        std::filesystem::remove(path);
      else
        std::ofstream(path) << "rubbish";
      const auto before = files_in(lan.folder);
      lan.clock.advance(11 * a_year);  // everything would be made anew
      const std::string why = complaint([&] {
        lan.admit("pow");
        lan.authority().devices_crl_pem(lan.clock.now());
      });
      CAPTURE(why);
      if (std::string(name) != "devices_key.pem") CHECK(files_in(lan.folder) == before);
      CHECK(contains(why, path.string()));
      CHECK(contains(why, "put the folder back from a backup"));
    }
  }
}

TEST_CASE("what is missing of the records or as a whole is told with what to do") {
  for (const char* name : {"authority.json", "issued.json", "roots", "servers"}) {
    const Lan lan;
    std::filesystem::remove_all(lan.folder / name);
    CHECK(complaint([&] { lan.admit("pow"); }) == "the authority is damaged: " + (lan.folder / name).string() +
                                                      " is missing: put the folder back from a backup");
  }
  const TempDir state;
  std::filesystem::create_directory(state / "empty");
  CHECK(contains(complaint([&] { Authority::open(state / "empty", {}); }), "remove it, or put it back from a backup"));
}

TEST_CASE("where nobody can say whether there is an authority, none is made") {
  const TempDir state;
  std::filesystem::create_symlink("authority", state / "authority");
  CHECK(contains(complaint([&] { Authority::open_or_make(state / "authority", {}, FakeClock().now()); }),
                 "the authority cannot be read: " + (state / "authority").string()));
}

TEST_CASE("the key of another certificate is no key") {
  Lan lan;
  const std::filesystem::path root = only_folder_in(lan.folder / "roots");
  std::filesystem::copy_file(root / "root_key.pem", root / "devices_key.pem",
                             std::filesystem::copy_options::overwrite_existing);
  CHECK(contains(complaint([&] { lan.admit("pow"); }), "it is the key of another certificate"));
}

TEST_CASE("what no device can have is not believed of one") {
  Lan lan;
  const std::string serial = lan.admit("pow").leaf().serial();
  lan.authority().revoke("pow", 1, lan.clock.now());
  const std::string records = text_of(lan.folder / "issued.json");
  const auto with = [&](const std::string& part, const std::string& other) {
    std::string changed = records;
    std::ofstream(lan.folder / "issued.json") << changed.replace(changed.find(part), part.size(), other);
    return complaint([&] { lan.authority().list(); });
  };
  CHECK(with("pow", "plug") == "nothing was wrong");
  for (const std::string& bad : {std::string(), std::string("12zz"), std::string("AB"), std::string(41, '1')})
    CHECK(contains(with(serial, bad), "it is damaged (\"serial\" is no serial number): put it back from a backup"));
  for (const char* bad : {"-1", "11", "18446744073709551615", "true"})
    CHECK(contains(with("\"reason\": 1", std::string("\"reason\": ") + bad), "it is damaged (\"reason\""));
  CHECK(contains(with("\"pow\"", "\"a/b\""), "it is damaged ('a/b' cannot be the name of a device"));
}

TEST_CASE("the records of a newer version are left alone") {
  Lan lan;
  std::ofstream(lan.folder / "authority.json") << R"({"version": 2})";
  CHECK(contains(complaint([&] { lan.authority(); }), "a newer version of acme-agent has written it"));
  std::ofstream(lan.folder / "authority.json") << R"({"version": "x"})";
  CHECK(contains(complaint([&] { lan.authority(); }), "it is damaged"));
}

TEST_CASE("what a crash in the making leaves is no authority, and is in nobody's way") {
  const TempDir state;
  std::filesystem::create_directories(state / ".authority.new/roots/half");
  std::ofstream(state / ".authority.new/authority.json") << "{";
  const FakeClock clock;
  CHECK_FALSE(Authority::open(state / "authority", {}).has_value());
  Authority::open_or_make(state / "authority", {KeyType::ec256}, clock.now());
  CHECK_FALSE(std::filesystem::exists(state / ".authority.new"));
}

TEST_CASE("after a crash at any step of a roll-over it opens, serves, and comes to the same end") {
  Lan lan;
  const std::string first_root = lan.roots();
  lan.clock.advance(10 * a_year + 10 * a_day);
  const TempDir before;
  std::filesystem::copy(lan.folder, before / "authority", std::filesystem::copy_options::recursive);
  lan.authority().keep(lan.clock.now());
  const TempDir after;
  std::filesystem::copy(lan.folder, after / "authority", std::filesystem::copy_options::recursive);

  int steps = 0;
  for (const char* part : {"roots", "servers"}) {
    const std::filesystem::path placed = new_folder(before / "authority" / part, after / "authority" / part);
    const auto files = files_in(placed);
    for (std::size_t written = 0; written <= files.size(); ++written, ++steps) {
      std::filesystem::remove_all(lan.folder);
      std::filesystem::copy(before / "authority", lan.folder, std::filesystem::copy_options::recursive);
      if (std::string(part) == "servers") {  // the new root stands by then
        const std::filesystem::path root = new_folder(before / "authority/roots", after / "authority/roots");
        std::filesystem::copy(root, lan.folder / "roots" / root.filename());
      }
      const std::filesystem::path unfinished = lan.folder / part / ".authority.new";
      std::filesystem::create_directory(unfinished);
      for (std::size_t i = 0; i < written; ++i) std::filesystem::copy(files[i], unfinished / files[i].filename());
      CAPTURE(part);
      CAPTURE(written);
      CHECK(lan.client(first_root, lan.serve()) == "ok");
      CHECK(lan.authority().roots(lan.clock.now()).size() == 2);
      lan.authority().devices_crl_pem(lan.clock.now());
      CHECK(lan.broker(lan.authority().probe_clients(lan.clock.now()).good.chain) == "ok");
      CHECK_FALSE(std::filesystem::exists(unfinished));
    }
  }
  CHECK(steps == 9);
}

TEST_CASE("several processes that issue at the same time lose nothing of each other") {
  Lan lan;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&lan, i] {
      for (int j = 0; j < 5; ++j) lan.admit("device-" + std::to_string(i) + "-" + std::to_string(j));
    });
  threads.clear();
  std::set<std::string> names;
  for (const IssuedDevice& device : lan.authority().list()) names.insert(device.name);
  CHECK(names.size() == 20);
}

TEST_CASE("of several that make it at the same time, all find the same authority") {
  const TempDir state;
  const FakeClock clock;
  std::vector<std::jthread> threads;
  std::vector<std::string> roots(4);
  for (std::string& root : roots)
    threads.emplace_back([&] {
      root = Authority::open_or_make(state / "authority", {KeyType::ec256}, clock.now())
                 .roots(clock.now())
                 .front()
                 .fingerprint_sha256();
    });
  threads.clear();
  CHECK(std::set<std::string>(roots.begin(), roots.end()).size() == 1);
}
