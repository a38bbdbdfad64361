#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <acme_agent/store/state.hpp>

#include "store/disk.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace acme_agent::test;

namespace {

namespace fs = std::filesystem;

const std::string server = "https://acme-v02.api.letsencrypt.org/directory";
const std::vector<Identifier> names = {{Identifier::Type::dns, "*.mydyn.example"}, {Identifier::Type::ip, "::1"}};

Held make_held(const PrivateKey& key, const std::string& issued_by = server) {
  const TimePoint now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22};
  return {{key, CertificateChain({make_placeholder(key, names, now, std::chrono::hours(24))})},
          issued_by,
          "https://ca.example/order/1"};
}

Held make_held() {
  return make_held(PrivateKey::generate(KeyType::ec256));
}

bool same(const std::optional<Held>& a, const Held& b) {
  return a && a->pair.key.thumbprint() == b.pair.key.thumbprint() && a->pair.chain == b.pair.chain &&
         a->order_url == b.order_url && a->server == b.server;
}

struct CertificateOnDisk {
  TempDir dir;
  CertificateState state{dir / "mydyn.example"};
  fs::path held = dir / "mydyn.example" / "held";
  fs::path pending = dir / "mydyn.example" / "pending";

  Pending save_pending(const std::string& order_url) const {
    Pending pending_order{PrivateKey::generate(KeyType::ec256), names, {}};
    if (!order_url.empty())
      pending_order.orders = {{server, order_url}, {"https://other.example/directory", "https://o"}};
    state.save_pending(pending_order);
    return pending_order;
  }
};

}  // namespace

TEST_CASE("a held pair comes back with its server, and the next one takes its place") {
  CertificateOnDisk t;
  CHECK_FALSE(t.state.held());
  for (int i = 0; i < 5; ++i) {
    const Held held = make_held();
    t.state.hold(held);
    CHECK(same(t.state.held(), held));
  }
}

TEST_CASE("held keys are for nobody else, whatever the umask is") {
  for (const mode_t mask : {mode_t{0}, mode_t{077}, mode_t{0777}}) {
    CertificateOnDisk t;
    const Umask umask(mask);
    t.state.hold(make_held());
    t.save_pending("");
    CHECK(mode_of(t.state.folder()) == 0700);
    CHECK(mode_of(t.held) == 0700);
    CHECK(mode_of(t.held / "privkey.pem") == 0600);
    CHECK(mode_of(t.pending) == 0700);
    CHECK(mode_of(t.pending / "key.pem") == 0600);
    CHECK(mode_of(t.pending / "order.json") == 0600);
  }
}

TEST_CASE("a held folder that a hand has torn holds nothing") {
  CertificateOnDisk t;
  const Held held = make_held();
  for (const std::string name : {"privkey.pem", "fullchain.pem"}) {
    for (const std::string& content : rubbish()) {
      CAPTURE(name);
      CAPTURE(content.substr(0, 40));
      t.state.hold(held);
      put(t.held / name, content);
      CHECK_FALSE(t.state.held());
    }
    t.state.hold(held);
    fs::remove(fs::canonical(t.held / name));
    CHECK_FALSE(t.state.held());
  }
  t.state.hold(held);
  put(t.held / "privkey.pem", PrivateKey::generate(KeyType::ec256).to_pem().reveal());
  CHECK_FALSE(t.state.held());
  t.state.hold(held);
  CHECK(same(t.state.held(), held));
}

TEST_CASE("a pair that does not say who issued it is held, for an unknown server") {
  CertificateOnDisk t;
  t.state.hold(make_held());
  for (const std::string& content : rubbish()) {
    put(t.held / "issued.json", content);
    REQUIRE(t.state.held());
    CHECK(t.state.held()->server.empty());
  }
  fs::remove(fs::canonical(t.held / "issued.json"));
  CHECK(t.state.held()->server.empty());
}

TEST_CASE("a held pair of a newer version is left to the operator") {
  CertificateOnDisk t;
  t.state.hold(make_held());
  put(t.held / "issued.json", R"({"version": 2})");
  CHECK(contains(complaint_of([&] { t.state.held(); }), "issued.json was written by a newer acme-agent (version 2)"));
}

TEST_CASE("a key that cannot be read is not taken for a missing one, which would order again") {
  CertificateOnDisk t;
  t.state.hold(make_held());
  const fs::path key = fs::canonical(t.held / "privkey.pem");
  fs::remove(key);
  fs::create_directory(key);
  CHECK_THROWS_AS(t.state.held(), Error);
}

TEST_CASE("plain files from a backup that followed the links are held, and replaced by the next pair") {
  CertificateOnDisk t;
  const Held held = make_held();
  t.state.hold(held);
  CertificateOnDisk restored;
  for (const std::string name : {"fullchain.pem", "privkey.pem", "issued.json"}) {
    put(restored.held / name, content_of(t.held / name));
  }
  CHECK(same(restored.state.held(), held));
  const Held next = make_held();
  restored.state.hold(next);
  CHECK(same(restored.state.held(), next));
}

TEST_CASE("a hold() that meets a full disk leaves the old pair, and succeeds once there is room") {
  const Held next = make_held();
  for (const rlim_t room : {rlim_t{0}, rlim_t{1}, rlim_t{200}, rlim_t{400}}) {
    CertificateOnDisk t;
    const Held old = make_held();
    t.state.hold(old);
    {
      const FullDisk full(room);
      CHECK_THROWS_AS(t.state.hold(next), Error);
    }
    CHECK(same(t.state.held(), old));
    t.state.hold(next);
    CHECK(same(t.state.held(), next));
  }
}

TEST_CASE("whenever hold() is killed, a whole pair is held, no older than the last one that was reported") {
  CertificateOnDisk t;
  std::vector<Held> pairs;
  for (int i = 0; i < 4; ++i) pairs.push_back(make_held());
  t.state.hold(pairs.back());
  for (int round = 0; round < 15; ++round) {
    int progress[2];
    REQUIRE(::pipe(progress) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (std::size_t i = 0;; i = (i + 1) % pairs.size()) {
        t.state.hold(pairs[i]);
        const char done = static_cast<char>(i);
        if (::write(progress[1], &done, 1) != 1) ::_exit(1);
      }
    }
    ::close(progress[1]);
    // Another number of bytes in each round, so that the kill falls at another place.
    char last = 0;
    for (int i = 0; i <= round % 5; ++i) REQUIRE(::read(progress[0], &last, 1) == 1);
    for (int spin = 0; spin < round * 2000; ++spin) ::getppid();
    ::kill(child, SIGKILL);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    for (char more = 0; ::read(progress[0], &more, 1) == 1;) last = more;
    ::close(progress[0]);

    const auto reported = static_cast<std::size_t>(last);
    const auto held = t.state.held();
    CHECK((same(held, pairs[reported]) || same(held, pairs[(reported + 1) % pairs.size()])));
  }
  t.state.hold(pairs[1]);
  CHECK(same(t.state.held(), pairs[1]));
}

TEST_CASE("an order under way comes back as it was saved, until it is cleared") {
  CertificateOnDisk t;
  CHECK_FALSE(t.state.pending());
  t.state.clear_pending();
  for (const std::string order_url : {"", "https://ca.example/order/1"}) {
    const Pending saved = t.save_pending(order_url);
    const auto loaded = t.state.pending();
    REQUIRE(loaded);
    CHECK(loaded->orders == saved.orders);
    CHECK(loaded->identifiers == names);
    CHECK(loaded->key.thumbprint() == saved.key.thumbprint());
  }
  t.state.clear_pending();
  CHECK_FALSE(t.state.pending());
  CHECK(fs::is_empty(t.pending));
}

TEST_CASE("clearing an order leaves the held pair and the record alone") {
  CertificateOnDisk t;
  const Held held = make_held();
  t.state.hold(held);
  t.state.save_record(Record{});
  t.save_pending("");
  t.state.clear_pending();
  CHECK(same(t.state.held(), held));
  CHECK(fs::exists(t.state.folder() / "record.json"));
}

TEST_CASE("an order under way that is damaged is none") {
  CertificateOnDisk t;
  std::vector<std::string> contents = rubbish();
  contents.push_back(R"({"identifiers": {}})");
  contents.push_back(R"({"identifiers": ["mydyn.example"]})");
  contents.push_back(R"({"identifiers": [{"value": "mydyn.example"}]})");
  contents.push_back(R"({"identifiers": [{"type": "email", "value": "mydyn.example"}]})");
  for (const std::string name : {"key.pem", "order.json"}) {
    for (const std::string& content : contents) {
      t.save_pending("https://ca.example/order/1");
      CHECK(t.state.pending());
      put(t.pending / name, content);
      CHECK_FALSE(t.state.pending());
    }
    t.save_pending("https://ca.example/order/1");
    fs::remove(t.pending / name);
    CHECK_FALSE(t.state.pending());
  }
}

TEST_CASE("an order of a newer version is left to the operator") {
  CertificateOnDisk t;
  t.save_pending("");
  put(t.pending / "order.json", R"({"version": 3})");
  CHECK(contains(complaint_of([&] { t.state.pending(); }), "order.json was written by a newer acme-agent (version 3)"));
}

TEST_CASE("whichever file is of a newer version, it is refused, and none that is ours, damaged or not there") {
  CertificateOnDisk t;
  t.state.refuse_newer();
  t.state.hold(make_held());
  t.save_pending("");
  t.state.save_record({});
  t.state.refuse_newer();
  for (const fs::path& file : {t.state.folder() / "record.json", t.held / "issued.json", t.pending / "order.json"}) {
    const std::string ours = content_of(file);
    std::string newer = ours;
    newer.replace(newer.find("1,"), 2, "10,");
    for (const std::string& text : {newer, std::string(R"({"version": 2})")}) {
      put(file, text);
      CHECK(contains(complaint_of([&] { t.state.refuse_newer(); }),
                     file.filename().string() + " was written by a newer"));
    }
    for (const std::string& text : {ours, ours.substr(0, ours.size() / 2), std::string("{}"), std::string("[2]")}) {
      put(file, text);
      CHECK_NOTHROW(t.state.refuse_newer());
    }
  }
}

TEST_CASE("a crash between the two files of an order never finalizes it with a key that it was not stored with") {
  CertificateOnDisk t;
  t.save_pending("https://ca.example/order/1");
  const std::string old_order = content_of(t.pending / "order.json");
  t.save_pending("https://ca.example/order/2");
  put(t.pending / "order.json", old_order);
  CHECK_FALSE(t.state.pending());
}

TEST_CASE("what was revoked, and which keys are compromised, is remembered") {
  CertificateOnDisk t;
  fs::create_directory(t.dir / "mydyn.example");
  CHECK_FALSE(t.state.revocation());
  const Revocation revocation{"-----BEGIN", "abcd", server, true, {"one thumbprint", "another"}};
  t.state.save_revocation(revocation);
  CHECK(t.state.revocation() == revocation);
  t.state.clear_pending();
  t.state.hold(make_held());
  CHECK(t.state.revocation() == revocation);
}

TEST_CASE("a damaged note of a revocation is not taken for none") {
  CertificateOnDisk t;
  fs::create_directory(t.dir / "mydyn.example");
  std::vector<std::string> contents = rubbish();
  contents.push_back(R"({"version": 1})");
  contents.push_back(R"({"version": 1, "compromised_keys": [1]})");
  for (const std::string& content : contents) {
    put(t.dir / "mydyn.example" / "revoked.json", content);
    CHECK(contains(complaint_of([&] { t.state.revocation(); }), "revoked.json is damaged ("));
  }
}
