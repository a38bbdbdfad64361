#include <doctest/doctest.h>
#include <openssl/err.h>

#include <algorithm>

#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/revocation_list.hpp>

#include "support/verify.hpp"

using namespace acme_agent;
using acme_agent::test::verify;
using namespace std::chrono;
using namespace std::chrono_literals;

namespace {

const TimePoint now = sys_days{year{2026} / 11 / 22} + 10h + 59s;
const Validity ten_years{now - 1h, now + 3650 * 24h};
const Validity a_year{now - 1h, now + 365 * 24h};

struct Revoking {
  PrivateKey key = PrivateKey::generate(KeyType::ec256);
  Issuer root{key, make_root(key, "a root", {}, ten_years)};
  PrivateKey devices_key = PrivateKey::generate(KeyType::rsa2048);
  Issuer devices{devices_key, issue_intermediate(root, devices_key, "devices", Certifies::clients, ten_years)};
  Certificate good = issue_client_certificate(devices, key, "good", a_year);
  Certificate stolen = issue_client_certificate(devices, key, "stolen", a_year);

  std::string crls(std::vector<RevokedCertificate> revoked) const {
    return make_crl(root, {"", 1, now, now + 30 * 24h, {}}) +
           make_crl(devices, {"", 7, now, now + 30 * 24h, std::move(revoked)});
  }
  std::string look_at(const Certificate& device, const std::string& lists, TimePoint at = now) const {
    return verify({root.certificate.pem(), {device, devices.certificate}, at, false, "", lists});
  }
};

}  // namespace

TEST_CASE("a broker refuses who is on the list, and nobody else") {
  const Revoking t;
  const std::string lists = t.crls({{t.stolen.serial(), now, 1}});
  CHECK(t.look_at(t.good, lists) == "ok");
  CHECK(t.look_at(t.stolen, lists) == "certificate revoked");
  CHECK(t.look_at(t.stolen, t.crls({})) == "ok");
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("a list that has ended, and one that has not begun, let nobody in") {
  const Revoking t;
  CHECK(t.look_at(t.good, t.crls({}), now + 31 * 24h) == "CRL has expired");
  CHECK(t.look_at(t.good, t.crls({}), now - 60s) == "CRL is not yet valid");
}

TEST_CASE("a list says again what went into it, serials with a high bit as well") {
  const Revoking t;
  const std::vector<RevokedCertificate> revoked = {{"ff", now, 4}, {"7f", now - 24h, std::nullopt}, {"8001", now, 1}};
  const std::vector<RevocationList> lists = read_crls(t.crls(revoked));
  REQUIRE(lists.size() == 2);
  CHECK(lists[0].issuer == "a root");
  CHECK(lists[0].revoked.empty());
  CHECK(lists[1].issuer == "devices");
  CHECK(lists[1].number == 7);
  CHECK(lists[1].this_update == now);
  CHECK(lists[1].next_update == now + 30 * 24h);
  REQUIRE(lists[1].revoked.size() == 3);
  for (const RevokedCertificate& certificate : revoked) CHECK(std::ranges::count(lists[1].revoked, certificate) == 1);
}

TEST_CASE("what is no serial number as a whole is not revoked in part") {
  const Revoking t;
  for (const std::string& bad : {std::string(), std::string("12zz"), std::string("zz"),
                                 std::string("12\0"
                                             "34",
                                             5)})
    CHECK_THROWS_WITH_AS(t.crls({{bad, now}}), doctest::Contains("is no serial number"), Error);
}

TEST_CASE("an unspecified reason is not written") {
  const Revoking t;
  CHECK(read_crls(t.crls({{"01", now, 0}})).back().revoked.front().reason == std::nullopt);
}

TEST_CASE("a list may end after 2050") {
  const Revoking t;
  const TimePoint end = sys_days{year{2071} / 3 / 4};
  CHECK(read_crls(make_crl(t.root, {"", 1, now, end, {{"01", end - 24h}}})).front().next_update == end);
}

TEST_CASE("the number of a list may be any of 64 bits") {
  const Revoking t;
  const std::uint64_t largest = ~std::uint64_t{0};
  CHECK(read_crls(make_crl(t.root, {"", largest, now, now + 24h, {}})).front().number == largest);
}

TEST_CASE("what is no list, or a damaged one, is told from another") {
  const Revoking t;
  const std::string sound = t.crls({{t.stolen.serial(), now, 1}});
  CHECK_THROWS_WITH_AS(read_crls(""), "there is no list of what is revoked in it", Error);
  CHECK_THROWS_WITH_AS(read_crls(t.good.pem()), "there is no list of what is revoked in it", Error);
  std::string damaged = sound;
  damaged[damaged.size() - 60] = '!';
  CHECK_THROWS_AS(read_crls(damaged), Error);
  CHECK_THROWS_AS(read_crls(sound.substr(0, sound.size() - 40)), Error);
  CHECK(ERR_peek_error() == 0);
}
