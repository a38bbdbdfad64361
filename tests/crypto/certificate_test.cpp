#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/certificate.hpp>

#include "support/test_ca.hpp"

using namespace acme_agent;
using acme_agent::test::TestCa;
using namespace std::chrono;
using namespace std::chrono_literals;

namespace {

// RFC 9773, Appendix A: valid for no time at all, in the year 1.
constexpr std::string_view year_one =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt\n"
    "cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS\n"
    "BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu\n"
    "7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf\n"
    "qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B\n"
    "yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb\n"
    "+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK\n"
    "-----END CERTIFICATE-----\n";

const TimePoint now = sys_days{year{2026} / 11 / 22} + 10h;
const Validity ninety_days{now - 1h, now + 90 * 24h};

Identifier dns(const std::string& value) {
  return {Identifier::Type::dns, value};
}
Identifier ip(const std::string& value) {
  return {Identifier::Type::ip, value};
}

PrivateKey some_key() {
  return PrivateKey::generate(KeyType::ec256);
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// What from_pem says about `pem`; empty if it takes it. OpenSSL's queue must be left empty either way.
std::string complaint(std::string_view pem) {
  std::string message;
  try {
    CertificateChain::from_pem(pem);
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::retry);
    message = error.message();
  }
  CHECK(ERR_peek_error() == 0);
  return message;
}

/// A self-signed certificate with a public key of any kind that OpenSSL has, made with `change` on top.
template <class Change>
std::string self_signed_der(EVP_PKEY* key, const Change& change) {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), X509_VERSION_3);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key);
  change(certificate.get());
  REQUIRE(X509_sign(certificate.get(), key, EVP_PKEY_is_a(key, "ED25519") == 1 ? nullptr : EVP_sha256()) > 0);
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate.get(), &der);
  const std::string bytes(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

std::shared_ptr<EVP_PKEY> owned(EVP_PKEY* key) {
  REQUIRE(key != nullptr);
  return {key, EVP_PKEY_free};
}

}  // namespace

TEST_CASE("a certificate tells what it was issued with") {
  const TestCa ca;
  const PrivateKey key = some_key();
  const Certificate leaf =
      ca.issue(key, {dns("MQTT.mydyn.example"), ip("2001:db8::1"), ip("192.0.2.7"), dns("*.mydyn.example")},
               ninety_days)
          .leaf();
  CHECK(leaf.identifiers() ==
        std::vector{dns("*.mydyn.example"), dns("mqtt.mydyn.example"), ip("192.0.2.7"), ip("2001:db8::1")});
  CHECK(leaf.validity() == ninety_days);
  CHECK(leaf.subject() == "MQTT.mydyn.example");
  CHECK(leaf.issuer() == "Test Intermediate");
  CHECK(leaf.key_type() == KeyType::ec256);
  CHECK(leaf.serial().size() == 34);
  CHECK(leaf.fingerprint_sha256().size() == 64);
  CHECK(leaf.has_public_key_of(key));
  CHECK_FALSE(leaf.has_public_key_of(some_key()));
  CHECK_FALSE(leaf.has_public_key_of(PrivateKey::generate(KeyType::rsa2048)));
  CHECK_FALSE(leaf.self_signed());
  CHECK(ca.root().self_signed());
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("an issuer is who has both the name and the key") {
  const TestCa ca;
  const TestCa namesake;
  const Certificate leaf = ca.issue(some_key(), {dns("a.example")}, ninety_days).leaf();
  CHECK(leaf.signed_by(ca.intermediate()));
  CHECK_FALSE(leaf.signed_by(ca.root()));
  CHECK_FALSE(leaf.signed_by(namesake.intermediate()));
  CHECK_FALSE(leaf.signed_by(leaf));
  CHECK(ca.intermediate().signed_by(ca.root()));
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("dates reach from the year 1 to the end of 9999") {
  const Certificate old = CertificateChain::from_pem(year_one).leaf();
  CHECK(old.validity().not_before == sys_days{year{1} / 1 / 1});
  CHECK(old.validity().not_after == sys_days{year{1} / 1 / 1});
  CHECK(TestCa().root().validity().not_after == sys_days{year{9999} / 12 / 31} + 23h + 59min + 59s);
  // Both sides of the change from UTCTime to GeneralizedTime, and the end of a 32-bit time_t.
  for (const TimePoint time :
       {TimePoint(sys_days{year{2049} / 12 / 31} + 23h + 59min + 59s), TimePoint(sys_days{year{2050} / 1 / 1}),
        TimePoint(sys_days{year{2038} / 1 / 19} + 4h)}) {
    CHECK(TestCa().issue(some_key(), {dns("a.example")}, {time, time}).leaf().validity() == Validity{time, time});
  }
}

TEST_CASE("the serial number is written with all its octets") {
  CHECK(CertificateChain::from_pem(year_one).leaf().serial() == "87654321");
  const auto key = some_key();
  const auto serial_of = [&](long serial) {
    return Certificate::from_der(self_signed_der(key.handle(),
                                                 [serial](X509* certificate) {
                                                   ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
                                                 }))
        .serial();
  };
  CHECK(serial_of(0) == "00");
  CHECK(serial_of(10) == "0a");
  CHECK(serial_of(0x1234) == "1234");
}

TEST_CASE("a certificate without a common name is called by its whole name") {
  const Certificate certificate = Certificate::from_der(self_signed_der(some_key().handle(), [](X509* made) {
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "O", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>("Example Ltd"), -1, -1, 0);
  }));
  CHECK(contains(certificate.subject(), "Example Ltd"));
  CHECK(certificate.issuer().empty());
  CHECK(certificate.identifiers().empty());
}

TEST_CASE("keys that no KeyType stands for have none") {
  const auto type_of = [](EVP_PKEY* key) {
    return Certificate::from_der(self_signed_der(key, [](X509*) {})).key_type();
  };
  CHECK(type_of(owned(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")).get()) == std::nullopt);
  CHECK(type_of(owned(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-521")).get()) == std::nullopt);
  CHECK(type_of(owned(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{1024})).get()) == std::nullopt);
  for (const KeyType type : {KeyType::rsa2048, KeyType::rsa3072, KeyType::ec256, KeyType::ec384}) {
    CHECK(type_of(PrivateKey::generate(type).handle()) == type);
  }
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("DER that is not exactly one certificate is refused") {
  const std::string der = TestCa().root().der();
  CHECK(Certificate::from_der(der).der() == der);
  CHECK_THROWS_AS(Certificate::from_der(der + "x"), Error);
  for (std::size_t size = 0; size < der.size(); ++size) {
    CAPTURE(size);
    CHECK_THROWS_AS(Certificate::from_der(der.substr(0, size)), Error);
  }
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("a certificate with any one octet damaged is refused or read without a fault") {
  const TestCa ca;
  const std::string der = ca.issue(some_key(), {dns("a.example"), ip("192.0.2.1")}, ninety_days).leaf().der();
  for (std::size_t at = 0; at < der.size(); ++at) {
    for (const char mask : {'\x01', '\x80', '\xff'}) {
      std::string damaged = der;
      damaged[at] = static_cast<char>(damaged[at] ^ mask);
      try {
        const Certificate certificate = Certificate::from_der(damaged);
        certificate.validity();
        certificate.identifiers();
        certificate.subject();
        certificate.issuer();
        certificate.serial();
        certificate.key_type();
        certificate.placeholder();
        CHECK_FALSE((certificate.der() != der && certificate.signed_by(ca.intermediate())));
      } catch (const Error&) {
      }
      REQUIRE(ERR_peek_error() == 0);
    }
  }
}

TEST_CASE("a certificate whose dates are none is refused") {
  std::string der = TestCa().issue(some_key(), {dns("a.example")}, ninety_days).leaf().der();
  const auto at = der.find("261122");
  REQUIRE(at != std::string::npos);
  der.replace(at, 6, "261322");
  CHECK_THROWS_AS(Certificate::from_der(der), Error);
}

TEST_CASE("a chain survives the way through PEM, leaf first") {
  const TestCa ca;
  const CertificateChain chain = ca.issue(some_key(), {dns("a.example")}, ninety_days);
  CHECK(CertificateChain::from_pem(chain.pem()) == chain);
  CHECK(chain.pem() == chain.leaf_pem() + chain.rest_pem());
  CHECK(chain.leaf_pem() == chain.leaf().pem());
  CHECK(chain.rest_pem() == ca.intermediate().pem());
  CHECK(chain.top() == "Test Root");
  CHECK(CertificateChain({chain.leaf()}).rest_pem().empty());
  CHECK_THROWS_AS(CertificateChain({}), Error);
}

TEST_CASE("text and white space around the blocks of a chain do no harm") {
  const CertificateChain chain = TestCa().issue(some_key(), {dns("a.example")}, ninety_days);
  const std::string chatty = "\xEF\xBB\xBF\n subject: a.example\n\n" + chain.leaf_pem() +
                             "\n\n---\nissuer:" + std::string(1000, 'x') + "\n" + chain.rest_pem() + "   \n\n";
  CHECK(CertificateChain::from_pem(chatty) == chain);

  std::string carriage_returns;
  for (const char c : chain.pem()) carriage_returns += c == '\n' ? std::string("\r\n") : std::string(1, c);
  CHECK(CertificateChain::from_pem(carriage_returns) == chain);
  CHECK(CertificateChain::from_pem(chain.pem().substr(0, chain.pem().size() - 1)) == chain);
}

TEST_CASE("a chain with any block that is no certificate is refused whole") {
  const TestCa ca;
  const PrivateKey key = some_key();
  const std::string chain = ca.issue(key, {dns("a.example")}, ninety_days).pem();
  for (const std::string& intruder :
       {std::string(key.to_pem().reveal()), std::string("-----BEGIN CERTIFICATE REQUEST-----\n"),
        std::string("-----BEGIN TRUSTED CERTIFICATE-----\n"), std::string("-----BEGIN X509 CERTIFICATE-----\n"),
        std::string("-----BEGIN"), std::string("x-----BEGIN PRIVATE KEY-----")}) {
    CAPTURE(intruder);
    CHECK(contains(complaint(chain + intruder), "something else than certificates"));
    CHECK(contains(complaint(intruder + chain), "something else than certificates"));
  }
}

TEST_CASE("a complaint about a foreign block does not print it") {
  const Secret key = some_key().to_pem();
  const std::string message = complaint(key.reveal());
  CHECK(contains(message, "-----BEGIN PRIVATE KEY-----"));
  CHECK_FALSE(contains(message, key.reveal().substr(28, 20)));
}

TEST_CASE("a chain of 20 is read and one of 21 is not") {
  const std::string one = TestCa().root_pem();
  std::string many;
  for (int i = 0; i < 20; ++i) many += one;
  CHECK(CertificateChain::from_pem(many).certificates().size() == 20);
  CHECK(contains(complaint(many + one), "more than 20"));
}

TEST_CASE("damaged chains are refused, with the number of the damaged certificate") {
  const std::string pem = TestCa().root_pem();
  CHECK(contains(complaint(""), "there is no certificate"));
  CHECK(contains(complaint("<html>502 Bad Gateway</html>"), "there is no certificate"));
  CHECK(contains(complaint(std::string(1024 * 1024, 'x')), "longer than 512 KiB"));
  CHECK(contains(complaint(pem + "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), "number 2 of the chain"));
  CHECK(contains(complaint(pem + "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
                 "number 2 of the chain"));
  CHECK(contains(complaint("-----BEGIN CERTIFICATE-----\n" + pem), "number 1 of the chain"));
  CHECK(contains(complaint("x-----BEGIN CERTIFICATE-----\n"), "number 1 of the chain"));
  for (std::size_t size = 0; size + 1 < pem.size(); ++size) {
    CAPTURE(size);
    CHECK(complaint(pem.substr(0, size)) != "");
  }
}

TEST_CASE("a test CA's leaf is what OpenSSL's own verification takes") {
  const TestCa ca;
  const CertificateChain chain = ca.issue(some_key(), {dns("a.example")}, ninety_days);
  const std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> trusted(X509_STORE_new(), X509_STORE_free);
  X509_STORE_add_cert(trusted.get(), ca.root().handle());
  const std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)> rest(sk_X509_new_null(),
                                                                        [](STACK_OF(X509) * s) { sk_X509_free(s); });
  sk_X509_push(rest.get(), ca.intermediate().handle());
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> context(X509_STORE_CTX_new(),
                                                                                X509_STORE_CTX_free);
  REQUIRE(X509_STORE_CTX_init(context.get(), trusted.get(), chain.leaf().handle(), rest.get()) == 1);
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, std::chrono::system_clock::to_time_t(now));
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT);
  X509_VERIFY_PARAM_set1_host(parameters, "a.example", 0);
  X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_SERVER);
  CHECK(X509_verify_cert(context.get()) == 1);
  CHECK(X509_STORE_CTX_get_error(context.get()) == X509_V_OK);
}
