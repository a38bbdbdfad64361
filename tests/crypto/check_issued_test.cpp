#include <doctest/doctest.h>

#include <optional>

#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/certificate.hpp>

#include "support/test_ca.hpp"

using namespace acme_agent;
using acme_agent::test::TestCa;
using namespace std::chrono;
using namespace std::chrono_literals;

namespace {

Identifier dns(const std::string& value) {
  return {Identifier::Type::dns, value};
}

struct Issued {
  TestCa ca;
  TimePoint now = sys_days{year{2026} / 11 / 22} + 10h;
  Validity validity{now - 1h, now + 90 * 24h};
  PrivateKey key = PrivateKey::generate(KeyType::ec256);
  std::vector<Identifier> wanted{dns("a.example"), dns("b.example"), {Identifier::Type::ip, "192.0.2.7"}};

  CertificateChain chain() const { return ca.issue(key, wanted, validity); }

  /// What check_issued says; nothing if it agrees.
  std::optional<std::string> fault(const CertificateChain& chain) const {
    try {
      check_issued({key, chain}, wanted, now);
      return std::nullopt;
    } catch (const Error& error) {
      CHECK(error.remedy() == Remedy::retry);
      return error.message();
    }
  }
};

bool contains(const std::optional<std::string>& text, std::string_view part) {
  return text && text->find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("what was asked for is accepted, with or without the certificates above") {
  Issued t;
  const CertificateChain chain = t.chain();
  CHECK(t.fault(chain) == std::nullopt);
  CHECK(t.fault(CertificateChain({chain.leaf()})) == std::nullopt);
  CHECK(t.fault(CertificateChain({chain.leaf(), t.ca.intermediate(), t.ca.root()})) == std::nullopt);
}

TEST_CASE("the order of names does not matter, and asking twice for one is asking once") {
  Issued t;
  const CertificateChain chain = t.chain();
  t.wanted = {t.wanted[2], t.wanted[1], t.wanted[0], t.wanted[1]};
  CHECK(t.fault(chain) == std::nullopt);
}

TEST_CASE("another key's certificate is refused") {
  Issued t;
  const CertificateChain chain = t.ca.issue(PrivateKey::generate(KeyType::ec256), t.wanted, t.validity);
  CHECK(contains(t.fault(chain), "(for a.example, b.example and 192.0.2.7) carries the public key of another key"));
}

TEST_CASE("missing and extra names are named") {
  Issued t;
  CHECK(t.fault(t.ca.issue(t.key, {dns("a.example")}, t.validity)) ==
        "the issued certificate is not for the names that were asked for: it lacks b.example and 192.0.2.7");
  auto more = t.wanted;
  more.push_back(dns("*.example"));
  CHECK(t.fault(t.ca.issue(t.key, more, t.validity)) ==
        "the issued certificate is not for the names that were asked for: it also names *.example");
  CHECK(t.fault(t.ca.issue(t.key, {dns("c.example"), t.wanted[1], t.wanted[2]}, t.validity)) ==
        "the issued certificate is not for the names that were asked for: it lacks a.example and it also names "
        "c.example");
}

TEST_CASE("a name that is an address elsewhere does not stand for the address") {
  Issued t;
  CHECK(contains(t.fault(t.ca.issue(t.key, {t.wanted[0], t.wanted[1], dns("192.0.2.7")}, t.validity)),
                 "it lacks 192.0.2.7"));
}

TEST_CASE("hostile names reach the message as escapes and cannot flood it") {
  Issued t;
  auto names = t.wanted;
  names.push_back(dns("evil\x1b[2J\nname"));
  for (int i = 0; i < 100; ++i) names.push_back(dns(std::string(100, 'x') + std::to_string(i)));
  const auto fault = t.fault(t.ca.issue(t.key, names, t.validity));
  REQUIRE(fault.has_value());
  CHECK(fault->find('\x1b') == std::string::npos);
  CHECK(fault->find('\n') == std::string::npos);
  CHECK(fault->size() < 1000);
}

TEST_CASE("a certificate is accepted from an hour before its first moment to its last, and not beyond") {
  Issued t;
  const CertificateChain chain = t.chain();
  t.now = t.validity.not_before - 1h;
  CHECK(t.fault(chain) == std::nullopt);
  t.now -= 1s;
  CHECK(t.fault(chain) ==
        "the issued certificate is valid only from 2026-11-22T09:00:00Z, but it is 2026-11-22T07:59:59Z here; is the "
        "clock of this machine right?");
  t.now = t.validity.not_after;
  CHECK(t.fault(chain) == std::nullopt);
  t.now += 1s;
  CHECK(contains(t.fault(chain), "expired at 2027-02-20T10:00:00Z, and it is 2027-02-20T10:00:01Z here"));
}

TEST_CASE("a certificate that ends before it begins is refused") {
  Issued t;
  t.validity = {t.now + 30min, t.now + 10min};
  CHECK(contains(t.fault(t.chain()), "before it begins"));
}

TEST_CASE("a link that does not hold is refused with both names") {
  Issued t;
  const Certificate leaf = t.chain().leaf();
  CHECK(t.fault(CertificateChain({leaf, t.ca.root()})) ==
        "the chain of the issued certificate is broken: number 1 (a.example) is not signed by the one after it (Test "
        "Root)");
  CHECK(contains(t.fault(CertificateChain({leaf, t.ca.intermediate(), TestCa().root()})),
                 "number 2 (Test Intermediate) is not signed by the one after it (Test Root)"));
  CHECK(contains(t.fault(CertificateChain({leaf, t.ca.intermediate(), t.ca.intermediate()})), "number 2"));
}
