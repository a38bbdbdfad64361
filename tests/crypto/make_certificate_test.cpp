#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <optional>
#include <set>

#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/certificate.hpp>

#include "support/test_ca.hpp"

using namespace acme_agent;
using acme_agent::test::TestCa;
using namespace std::chrono;
using namespace std::chrono_literals;

namespace {

const TimePoint now = sys_days{year{2026} / 11 / 22} + 10h + 59s + 999ms;
const Validity ninety_days{now - 1h, now + 90 * 24h};

Identifier dns(const std::string& value) {
  return {Identifier::Type::dns, value};
}
Identifier ip(const std::string& value) {
  return {Identifier::Type::ip, value};
}

std::shared_ptr<X509_REQ> parse(const std::string& der) {
  const auto* position = reinterpret_cast<const unsigned char*>(der.data());
  const std::shared_ptr<X509_REQ> request(d2i_X509_REQ(nullptr, &position, static_cast<long>(der.size())),
                                          X509_REQ_free);
  REQUIRE(request != nullptr);
  REQUIRE(position == reinterpret_cast<const unsigned char*>(der.data()) + der.size());
  return request;
}

std::optional<std::string> common_name(const std::string& der) {
  const auto request = parse(der);
  char text[200] = {};
  if (X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(request.get()), NID_commonName, text, sizeof text) < 0) {
    return std::nullopt;
  }
  return text;
}

}  // namespace

TEST_CASE("a CA that reads the request issues for all its names and its key") {
  const TestCa ca;
  for (const KeyType type : {KeyType::rsa2048, KeyType::ec256, KeyType::ec384}) {
    CAPTURE(to_string(type));
    const PrivateKey key = PrivateKey::generate(type);
    const std::vector<Identifier> names = {dns("*.mydyn.example"), dns("mydyn.example"), ip("192.0.2.7"),
                                           ip("2001:db8::1")};
    const CertificateChain chain = ca.issue_for_csr(make_csr(key, names), ninety_days);
    CHECK_NOTHROW(check_issued({key, chain}, names, now));
  }
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("a request is of version 1 and signed with SHA-256") {
  const auto request = parse(make_csr(PrivateKey::generate(KeyType::ec384), {dns("a.example")}));
  CHECK(X509_REQ_get_version(request.get()) == X509_REQ_VERSION_1);
  CHECK(X509_REQ_get_signature_nid(request.get()) == NID_ecdsa_with_SHA256);
}

TEST_CASE("the common name is the first DNS name that fits into 64 characters") {
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  const std::string of_64 = std::string(30, 'a') + "." + std::string(25, 'b') + ".example";
  const std::string of_65 = "a" + of_64;
  REQUIRE(of_64.size() == 64);
  CHECK(common_name(make_csr(key, {dns("a.example"), dns("b.example")})) == "a.example");
  CHECK(common_name(make_csr(key, {dns("*.a.example")})) == "*.a.example");
  CHECK(common_name(make_csr(key, {ip("192.0.2.7"), dns("a.example")})) == "a.example");
  CHECK(common_name(make_csr(key, {dns(of_65), dns(of_64)})) == of_64);
  CHECK(common_name(make_csr(key, {dns(of_65)})) == std::nullopt);
  CHECK(common_name(make_csr(key, {ip("192.0.2.7")})) == std::nullopt);
}

TEST_CASE("an address that is none is a complaint that quotes it") {
  CHECK_THROWS_WITH_AS(make_csr(PrivateKey::generate(KeyType::ec256), {ip("192.0.2")}),
                       "'192.0.2' is not an IP address", Error);
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("the test CA refuses a request whose signature was tampered with") {
  const TestCa ca;
  const std::string csr = make_csr(PrivateKey::generate(KeyType::ec256), {dns("mine.example")});
  std::string other_name = csr;
  for (auto at = other_name.find("mine.example"); at != std::string::npos; at = other_name.find("mine.example")) {
    other_name.replace(at, 4, "your");
  }
  CHECK_THROWS_AS(ca.issue_for_csr(other_name, ninety_days), Error);
  CHECK_THROWS_AS(ca.issue_for_csr(csr + "x", ninety_days), Error);
  CHECK_THROWS_AS(ca.issue_for_csr("", ninety_days), Error);
  CHECK_THROWS_AS(ca.issue_for_csr(make_csr(PrivateKey::generate(KeyType::ec256), {}), ninety_days), Error);
}

TEST_CASE("a placeholder is recognised, carries the key and the names, and dates back an hour") {
  for (const KeyType type : {KeyType::rsa2048, KeyType::ec256}) {
    const PrivateKey key = PrivateKey::generate(type);
    const std::vector<Identifier> names = {dns("a.example"), ip("192.0.2.7")};
    const Certificate made = make_placeholder(key, names, now, 7 * 24h);
    const Certificate certificate = Certificate::from_der(made.der());
    CHECK(certificate.placeholder());
    CHECK(certificate.self_signed());
    CHECK(certificate.has_public_key_of(key));
    CHECK(certificate.key_type() == type);
    CHECK(certificate.identifiers() == names);
    CHECK(certificate.subject() == "a.example");
    CHECK(certificate.validity().not_before == floor<seconds>(now) - 1h);
    CHECK(certificate.validity().not_after == floor<seconds>(now) + 7 * 24h);
    CHECK(X509_check_ca(certificate.handle()) == 0);
    CHECK(X509_get_extended_key_usage(certificate.handle()) == XKU_SSL_SERVER);
    CHECK_NOTHROW(check_issued({key, CertificateChain({certificate})}, names, now));
  }
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("a placeholder for a name too long for a common name is still recognised") {
  const std::string long_name = std::string(60, 'a') + ".mydyn.example";
  const Certificate certificate = make_placeholder(PrivateKey::generate(KeyType::ec256), {dns(long_name)}, now, 24h);
  CHECK(certificate.placeholder());
  CHECK(certificate.identifiers() == std::vector{dns(long_name)});
}

TEST_CASE("serial numbers of placeholders are positive, of 128 bits, and never the same") {
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  std::set<std::string> serials;
  for (int i = 0; i < 50; ++i) {
    const Certificate certificate = make_placeholder(key, {dns("a.example")}, now, 24h);
    CHECK(certificate.serial().size() == 32);
    CHECK((ASN1_STRING_type(X509_get0_serialNumber(certificate.handle())) & V_ASN1_NEG) == 0);
    serials.insert(certificate.serial());
  }
  CHECK(serials.size() == 50);
}

TEST_CASE("what a CA issued is no placeholder, nor is a self-signed certificate of another program") {
  const TestCa ca;
  CHECK_FALSE(ca.issue(PrivateKey::generate(KeyType::ec256), {dns("a.example")}, ninety_days).leaf().placeholder());
  CHECK_FALSE(ca.root().placeholder());
}

TEST_CASE("a placeholder may outlive the year 2050") {
  const Certificate certificate =
      make_placeholder(PrivateKey::generate(KeyType::ec256), {dns("a.example")}, now, 24h * 365 * 50);
  CHECK(certificate.validity().not_after == floor<seconds>(now) + 24h * 365 * 50);
}

TEST_CASE("a signing request of one's own is read in PEM and DER, with its names, for its own key only") {
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  const std::vector<Identifier> names = {dns("a.example"), dns("b.example"), ip("2001:db8::1")};
  const std::string der = make_csr(key, names);
  std::string text(PEM_BUFSIZE * 4, ' ');
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> memory(BIO_new(BIO_s_mem()), BIO_free_all);
  REQUIRE(PEM_write_bio_X509_REQ(memory.get(), parse(der).get()) == 1);
  text.resize(static_cast<std::size_t>(BIO_read(memory.get(), text.data(), static_cast<int>(text.size()))));
  for (const std::string& form : {der, text}) {
    const SigningRequest request = read_csr(form, key);
    CHECK(request.der == der);
    CHECK(request.identifiers == names);
  }
  CHECK_THROWS_WITH_AS(read_csr(der, PrivateKey::generate(KeyType::ec256)),
                       "the certificate signing request was made with another key", Error);
  std::string forged = der;
  forged.back() = static_cast<char>(forged.back() ^ 1);
  for (const std::string& none :
       {std::string(), std::string("x"), der + "x", forged, text.substr(0, 200), std::string(70'000, '0')})
    CHECK_THROWS_WITH_AS(read_csr(none, key), "there is no sound certificate signing request in it", Error);
  CHECK(ERR_peek_error() == 0);
}
