#include <doctest/doctest.h>

#include <acme_agent/base/base64url.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/tasmota.hpp>

#include "support/test_ca.hpp"

using namespace acme_agent;

namespace {

// Made by the openssl command; their fingerprints were computed by another program, from Tasmota's documentation.
constexpr std::string_view with_rsa = R"(-----BEGIN CERTIFICATE-----
MIIDLTCCAhWgAwIBAgIUKvccXxcB/gUQll5JTcJxv4qOZ7IwDQYJKoZIhvcNAQEL
BQAwGDEWMBQGA1UEAwwNbXlkeW4uZXhhbXBsZTAgFw0yNjExMjMwNTQ3MTBaGA8y
MTI2MTAzMDA1NDcxMFowGDEWMBQGA1UEAwwNbXlkeW4uZXhhbXBsZTCCASIwDQYJ
KoZIhvcNAQEBBQADggEPADCCAQoCggEBALY/9uE81AHkwm8sw4gvWFreTiil5qRI
vZOhkxFYFd21J18YGj+28KsrX/xMlHVUZP48jgi7lZCReYIwVgfVobVx8k14k3k1
4Qc2ifJVx12HqCv/J1ddMv+3s6xw0UdJQyXGrrwktC8g9mfDtgoNBEEHlwlM9iTb
doknc+3PrWojHysNQGvqFOMrEqfoj1Dre+XyFQ78seg7eNVEG5ZVTEAEZvDrlrT+
DUFCldmaqz9Q7rj9aFlHZrtjhGNr2h2ljTBhLlxN9ZA6STbqiGEFdGfHDwMJH9zY
sIzk46vK3d0f2U+ZL+WVP0woDk3IdnC9tMhWAvfQBCbs2Fgx++Yf4ccCAwEAAaNt
MGswHQYDVR0OBBYEFNb3gOkSO2SWU0he2DxeByNj+KYaMB8GA1UdIwQYMBaAFNb3
gOkSO2SWU0he2DxeByNj+KYaMA8GA1UdEwEB/wQFMAMBAf8wGAYDVR0RBBEwD4IN
bXlkeW4uZXhhbXBsZTANBgkqhkiG9w0BAQsFAAOCAQEARRW28ZX5kF2f4pwuIG6b
QakBINusb1zWYohn6NsnrKy7wpeuuE5RLnY6a5mJRIZC0IgZa3zvmf1WADOP7RDX
reGA7HXo8k3wHNfCYjHv8SRjv/LbGbyTmNJUKeTCJK+kzZheOlRz2O3y0jjBkW6y
NLuU2iOAvZBj1ewTzjmOkddJD7hpQ1D4rQs2wpYszBDQKAEq7gQ5+A+g+3Ad99Ye
hVkGR/4Fy50fSAqHiFqONPYt/qfbxMssWbe/cTVEIcG2yMcRuftPp+G9EXSniPVL
qTUPyfup52KeThCWkk/04sW55blJweiJjeLMr49nEh/cYBFhz5IDHd6KUMcmUJLz
Ng==
-----END CERTIFICATE-----
)";
constexpr std::string_view with_p256 = R"(-----BEGIN CERTIFICATE-----
MIIBoTCCAUegAwIBAgIUfvPz68X+C6aYJlbHCdK8cxbccCowCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNbXlkeW4uZXhhbXBsZTAgFw0yNjExMjMwNTQ3MTBaGA8yMTI2
MTAzMDA1NDcxMFowGDEWMBQGA1UEAwwNbXlkeW4uZXhhbXBsZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABA1rrJYZqYjus82zphjn/uVci016fi5mMYvRnHR/9yio
g1i2y3HD7jIx9VMeu1bSbB+U6rM+AIoaIdGPgZo4Hi2jbTBrMB0GA1UdDgQWBBQ3
H/SkuRAFoA0HjvR0fcuopJUd8TAfBgNVHSMEGDAWgBQ3H/SkuRAFoA0HjvR0fcuo
pJUd8TAPBgNVHRMBAf8EBTADAQH/MBgGA1UdEQQRMA+CDW15ZHluLmV4YW1wbGUw
CgYIKoZIzj0EAwIDSAAwRQIhAItn+NJhPfx+hiGQ/JCxm0qSE+oPforPIDNqwmqZ
JSNsAiA0D0jXx2/gzZoHVxu2KO9CSrTU8vI1gRNevLIQPCSQRw==
-----END CERTIFICATE-----
)";

std::string fingerprint_of(std::string_view pem) {
  return tasmota_fingerprint(CertificateChain::from_pem(pem).leaf());
}

}  // namespace

TEST_CASE("an RSA key has the fingerprint that Tasmota computes") {
  CHECK(fingerprint_of(with_rsa) == "1A E1 06 92 99 62 9B C7 B7 2A 1C 03 49 E7 E0 12 8B F4 AF 35");
}

TEST_CASE("a P-256 key has the fingerprint that Tasmota computes") {
  CHECK(fingerprint_of(with_p256) == "B9 47 19 E2 3C 26 6A 4B 3E 7C 93 2E 08 B6 C3 85 59 F3 1D 7A");
}

TEST_CASE("the headers for firmware name each part of a root once, by its kind of key") {
  const TasmotaHeaders rsa = tasmota_headers(test::TestCa(KeyType::rsa2048).root());
  for (const char* name : {"TA0_DN[]", "TA0_RSA_N[]", "TA0_RSA_E[]"}) CHECK(rsa.data.find(name) != std::string::npos);
  CHECK(rsa.data.find("TA0_RSA_E[] = {\n\t0x01, 0x00, 0x01\n};") != std::string::npos);
  CHECK(rsa.descriptor.find("BR_KEYTYPE_RSA") != std::string::npos);
  const TasmotaHeaders ec = tasmota_headers(test::TestCa(KeyType::ec256).root());
  CHECK(ec.data.find("TA0_EC_Q[] = {\n\t0x04, ") != std::string::npos);
  CHECK(ec.data.find("RSA") == std::string::npos);
  CHECK(ec.descriptor.find("BR_KEYTYPE_EC") != std::string::npos);
}

TEST_CASE("headers are made of roots alone, of a kind of key that Tasmota knows") {
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  const CertificateChain chain = test::TestCa().issue(key, {{Identifier::Type::dns, "a.example"}},
                                                      {TimePoint(), TimePoint() + std::chrono::hours(1)});
  CHECK_THROWS_WITH_AS(
      tasmota_headers(chain.leaf()),
      "the certificate of a.example is none of an authority: give the root that the broker's chain ends at", Error);
  CHECK_THROWS_AS(tasmota_headers(test::TestCa(KeyType::ec384).root()), Error);
}

TEST_CASE("a client's key is 32 octets in base64, also where it begins with zeros, and its certificate is DER") {
  // Of the private number 1.
  const PrivateKey key = PrivateKey::from_pem(Secret(R"(-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABoAoGCCqGSM49
AwEHoUQDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/
m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
-----END EC PRIVATE KEY-----
)"));
  CHECK(tasmota_client_key(key).reveal() == std::string(42, 'A') + "E=");
  const Certificate certificate = test::TestCa(KeyType::ec256).root();
  CHECK(tasmota_client_certificate(certificate) == base64_encode(certificate.der()));
  CHECK_THROWS_AS(tasmota_client_key(PrivateKey::generate(KeyType::rsa2048)), Error);
  CHECK_THROWS_AS(tasmota_client_certificate(test::TestCa(KeyType::rsa2048).root()), Error);
}
