#include <doctest/doctest.h>

#include <acme_agent/devices/device_terms.hpp>

#include "support/test_ca.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;
using test::TestCa;

namespace {

const TimePoint now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 23};

CertificateChain chain_of(const TestCa& ca, const PrivateKey& key) {
  return ca.issue(key, {{Identifier::Type::dns, "mydyn.example"}}, {now - 24h, now + 24h * 89});
}

const TestCa& rsa_ca() {
  static const TestCa ca(KeyType::rsa2048);
  return ca;
}

const TestCa& ec_ca() {
  static const TestCa ca(KeyType::ec256);
  return ca;
}

const PrivateKey& rsa_key() {
  static const PrivateKey key = PrivateKey::generate(KeyType::rsa2048);
  return key;
}

const PrivateKey& ec_key() {
  static const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  return key;
}

DeviceTerms knowing(const TestCa& ca) {
  return {{}, RootBundle::of_text(ca.root_pem()), "their root", 0};
}

DeviceTerms terms_of(const char* kind) {
  return {{find_device_kind(kind)}, std::nullopt, "", 0};
}

std::string why(const CertificateChain& chain, const DeviceTerms& terms) {
  return why_devices_refuse(chain, terms, now).value_or("");
}

CertificateChain first_of(const CertificateChain& chain, std::size_t count) {
  const std::vector<Certificate>& all = chain.certificates();
  return CertificateChain({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count)});
}

}  // namespace

TEST_CASE("devices take a chain that leads to a root that they know, and no other") {
  const CertificateChain chain = chain_of(rsa_ca(), rsa_key());
  CHECK(why(chain, knowing(rsa_ca())).empty());
  CHECK(why(chain, knowing(ec_ca())) ==
        "the devices would refuse this chain, as it leads to '" + rsa_ca().root().subject() +
            "', and they know only their root (unable to get local issuer certificate): choose another "
            "--preferred-chain or another --server, or name the roots that they know with --device-trust");
}

TEST_CASE("a chain that lacks the way to the root is refused, as devices fetch nothing") {
  CHECK_FALSE(why(first_of(chain_of(rsa_ca(), rsa_key()), 1), knowing(rsa_ca())).empty());
}

TEST_CASE("what a device trusts need not be a root") {
  const DeviceTerms pinned{{}, RootBundle::of_text(rsa_ca().intermediate().pem()), "the intermediate", 0};
  CHECK(why(first_of(chain_of(rsa_ca(), rsa_key()), 1), pinned).empty());
}

TEST_CASE("a chain that has ended is refused") {
  CHECK(why_devices_refuse(chain_of(rsa_ca(), rsa_key()), knowing(rsa_ca()), now + 24h * 90)
            .value()
            .find("certificate has expired") != std::string::npos);
}

TEST_CASE("the room for certificates counts all of them in DER") {
  const CertificateChain chain = chain_of(rsa_ca(), rsa_key());
  const std::size_t bytes = chain.leaf().der().size() + chain.certificates().back().der().size();
  CHECK(why(chain, {{}, std::nullopt, "", bytes}).empty());
  CHECK(why(chain, {{}, std::nullopt, "", bytes - 1}) ==
        "the devices would refuse this chain, as its certificates take " + std::to_string(bytes) +
            " bytes, and the devices have room for " + std::to_string(bytes - 1) +
            ": choose a shorter one with --preferred-chain, or another --profile");
}

TEST_CASE("Tasmota takes RSA keys of 2048 bits under RSA signatures only") {
  CHECK(why(chain_of(rsa_ca(), rsa_key()), terms_of("tasmota")).empty());
  CHECK(why(chain_of(rsa_ca(), ec_key()), terms_of("tasmota")) ==
        "Tasmota devices would refuse this chain, as its key is of type ec256, which Tasmota devices do not take: give "
        "them --key-type rsa2048");
  CHECK(why(chain_of(ec_ca(), rsa_key()), terms_of("tasmota")) ==
        "Tasmota devices would refuse this chain, as the certificate of mydyn.example is signed with "
        "ecdsa-with-SHA256, and Tasmota devices verify RSA with SHA-256 only: choose another --preferred-chain or "
        "another --server");
}

TEST_CASE("ESP-IDF, ESPHome and Shelly take either kind of key") {
  for (const char* kind : {"esp-idf", "esphome", "shelly"}) {
    CHECK(why(chain_of(rsa_ca(), rsa_key()), terms_of(kind)).empty());
    CHECK(why(chain_of(ec_ca(), ec_key()), terms_of(kind)).empty());
  }
}

TEST_CASE("Shelly takes eight certificates above the leaf and no ninth") {
  const CertificateChain two = chain_of(ec_ca(), ec_key());
  std::vector<Certificate> many{two.leaf()};
  many.insert(many.end(), 8, two.certificates().back());
  CHECK(why(CertificateChain(many), terms_of("shelly")).empty());
  many.push_back(two.certificates().back());
  CHECK(why(CertificateChain(many), terms_of("shelly")).find("9 certificates above the leaf") != std::string::npos);
}

TEST_CASE("of several kinds of devices each has to take it") {
  const DeviceTerms both{{find_device_kind("shelly"), find_device_kind("tasmota")}, std::nullopt, "", 0};
  CHECK(why(chain_of(rsa_ca(), rsa_key()), both).empty());
  CHECK(
      why(chain_of(ec_ca(), ec_key()), both).starts_with("the devices would refuse this chain, as its key is of type"));
}

TEST_CASE("the built-in root is Let's Encrypt's, and ours are not under it") {
  const CertificateChain root = CertificateChain::from_pem(isrg_root_x1().pem());
  CHECK(root.leaf().subject() == "ISRG Root X1");
  CHECK(root.leaf().fingerprint_sha256() == "96bcec06264976f37460779acf28c5a7cfe8a3c0aae11a8ffcee05c0bddf08c6");
  CHECK(isrg_root_x1().why_refused(chain_of(rsa_ca(), rsa_key()), now));
}
