#include <doctest/doctest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <acme_agent/base/base64url.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/private_key.hpp>

using namespace acme_agent;

namespace {

constexpr KeyType all_types[] = {KeyType::rsa2048, KeyType::rsa3072, KeyType::rsa4096, KeyType::ec256, KeyType::ec384};

// The key of RFC 7515 A.3, in the form of RFC 5915 without its public half.
constexpr std::string_view rfc7515_ec_key =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MDECAQEEII6bEJ5xkJi/mASH3x9dd+nLKWBuvtImO19XwhPfhPSyoAoGCCqGSM49AwEH\n"
    "-----END EC PRIVATE KEY-----\n";

// Made for this test with `openssl genrsa -traditional 2048`; protects nothing.
constexpr std::string_view pkcs1_rsa_key =
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIIEowIBAAKCAQEAu4Wd1lM9Chkm0E7M3munk7v+eFkHsG2mI9rtCLrSBdqB4BJ7\n"
    "NkeaSZbJqQ3tedLvaxBXIliQQ7MT50EBjgqMV10MEsM7mk3AbV2eQw+FleagLMWA\n"
    "fBRanV0VKNFCwydfbKtTMVoVbKGP80koybVoHCORCGw97Jm3ibgzdl6sBPLGBM2q\n"
    "6Wem35nG3E7aSV38OVZ7Y8tbsOY+YLTv5F5rWrqqmRwo1V32pcKbRzqDovcwYH3A\n"
    "Koadab35tpUiIsAgTX3iMtv/j40sI2Bp61Rk69ts+TTs6TkAx1tcBER84mGbl/DS\n"
    "01udE3M/xOtzAcFVxrG2hlSnS5Tuu7gMzrc0ZwIDAQABAoIBAAsHKcf2dOMDT/yK\n"
    "fdLgyuX4dYKCCIk60ZKkkocOZuvlifjHAsxSPAPIOeDWywNR6+GZ1ZNVWQVE4qPu\n"
    "zJbGuQfUQYcC80jjpLA/LrUBPy5tyzgG1MO3S2Lwxp30Ed855rXp13EnZpYmZDmp\n"
    "sPE32Wu6OGfMkdG4copHX8No1ZNO0mt1o2sDI7eNL8+XYq5bbF2iGY6V6y5OATv3\n"
    "y3zcgVTA/SQ83OzV143Ws2J8+u5TWheEljw1iVDBDqEI+5k1QWgYdaWZ6DR9QYBf\n"
    "4R4okNjzg140u4WXKNUyP+FVSOvc8Ddi422vdjhW3iC4Bzl1r/HtZKDJ7Nx+vL4v\n"
    "N/K+qqUCgYEA+JZUfGR0cyeS5v9gnX/hbWh59HYeCTLdQ3eDylcAufyuCmtd706s\n"
    "gcUZDKUnOTt3zR5GEf5/lQUHhZtFque47K/9efWyY5LSJS8xkwYdiI7PDLQvQvKh\n"
    "gOI4FRtZWqBfBYYLnQFTnAG1muYGJonzc00Mu9hyoJrIyGexRCWHEF0CgYEAwR0g\n"
    "CnyWj9U8kwzRkcpmAQYqxSoLerT0E61J75uDpq2tvQBuoTVMQm3vbc7rPmfr7+0Y\n"
    "7rbRzifS2HEFJGPgRVwVzngFA0ecy3ycHVU+iw0brRUuSanlX3rV6bFS3hPKO7cG\n"
    "C7+eHLxtblgG/ULRFEilqXHP5OX7yprsTlY7G5MCgYACHNz49a2bsPFpry/2Brk2\n"
    "wdWPg1V8BIem5CQlmxmxevlLs1/oAcYrkC5HUjwEG4JIJwK3cm9JJ/LJaulrq26B\n"
    "7Hj+CV2LxRquIDmOo1Wq7HPMCtf//Knsu394hnP69jP4iwwcOH+qasVNXLkeqLt9\n"
    "9mCuVAedX9NnCKKUDrGYLQKBgEHLo5QPGNlOpMHRV0Hd/N0SddYRWjHnn1Vo8Ezz\n"
    "5moOuKgxkn/YgfAMNsxp+Jqdm7R2Ss1iep9L0DmwYDki0lGvazqah9KzPofSH/qa\n"
    "haGoyKozEj9E5IKgfmuN4BcMFRY9aJDuK3fM91fmJBN8BXJswgy2W0e42A4StLqI\n"
    "BMGDAoGBAOUs6I9WrnpoZE0pjFuOlnju11kj5imf0cd8GoIZeBKuZ5V7mvhVXtV2\n"
    "wJqPXhvTIxxbqmGH4+DyGwGOTAfQY82jWHaYvpGPmrrxP3yJRzW//yAh41PPBK0o\n"
    "Rw5A22ZGCKTls0HnLU+dCPyd9CbRtF+MW4FfTxxdE5YCB2aP8Gqb\n"
    "-----END RSA PRIVATE KEY-----\n";

using Writer = std::function<int(BIO*)>;

std::string written(const Writer& write) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new(BIO_s_mem()), BIO_free_all);
  REQUIRE(write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string pkcs8(EVP_PKEY* key) {
  return written(
      [key](BIO* bio) { return PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
}

std::shared_ptr<EVP_PKEY> owned(EVP_PKEY* key) {
  REQUIRE(key != nullptr);
  return {key, EVP_PKEY_free};
}

/// What from_pem says about `pem`; empty if it takes it. Every complaint must ask for the operator and leave nothing in
/// OpenSSL's queue, where it would be blamed on something else later.
std::string complaint(std::string_view pem) {
  std::string message;
  try {
    PrivateKey::from_pem(Secret(pem));
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::ask_operator);
    message = error.message();
  }
  CHECK(ERR_peek_error() == 0);
  return message;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string member(const std::string& jwk, const std::string& name) {
  const std::string start = "\"" + name + "\":\"";
  const auto at = jwk.find(start) + start.size();
  return jwk.substr(at, jwk.find('"', at) - at);
}

/// Checks a signature as the other side of a JWS would.
bool verifies(const PrivateKey& key, const char* digest, std::string_view data, std::string signature) {
  if (!is_rsa(key.type())) {
    const std::size_t half = signature.size() / 2;
    const auto* bytes = reinterpret_cast<const unsigned char*>(signature.data());
    const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> pair(ECDSA_SIG_new(), ECDSA_SIG_free);
    ECDSA_SIG_set0(pair.get(), BN_bin2bn(bytes, static_cast<int>(half), nullptr),
                   BN_bin2bn(bytes + half, static_cast<int>(half), nullptr));
    unsigned char* der = nullptr;
    const int size = i2d_ECDSA_SIG(pair.get(), &der);
    signature.assign(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
    OPENSSL_free(der);
  }
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  REQUIRE(EVP_DigestVerifyInit_ex(context.get(), nullptr, digest, nullptr, nullptr, key.handle(), nullptr) == 1);
  const bool good =
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                       reinterpret_cast<const unsigned char*>(data.data()), data.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace

TEST_CASE("a key of every type survives the way through PEM") {
  for (const KeyType type : all_types) {
    CAPTURE(to_string(type));
    const PrivateKey key = PrivateKey::generate(type);
    CHECK(key.type() == type);
    const Secret pem = key.to_pem();
    CHECK(pem.reveal().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    CHECK(pem.reveal().ends_with("-----END PRIVATE KEY-----\n"));
    const PrivateKey again = PrivateKey::from_pem(pem);
    CHECK(again.type() == type);
    CHECK(again.thumbprint() == key.thumbprint());
    CHECK(again.to_pem().reveal() == pem.reveal());
  }
}

TEST_CASE("two generated keys differ") {
  CHECK(PrivateKey::generate(KeyType::ec256).jwk() != PrivateKey::generate(KeyType::ec256).jwk());
}

TEST_CASE("the older PEM forms are read, behind parameters and other blocks too") {
  const PrivateKey rsa = PrivateKey::from_pem(Secret(pkcs1_rsa_key));
  CHECK(rsa.type() == KeyType::rsa2048);
  const PrivateKey ec = PrivateKey::from_pem(Secret(rfc7515_ec_key));
  CHECK(ec.type() == KeyType::ec256);
  const std::string parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
  CHECK(PrivateKey::from_pem(Secret(parameters + std::string(rfc7515_ec_key))).jwk() == ec.jwk());
  CHECK(PrivateKey::from_pem(Secret("a key of mine:\r\n\r\n" + std::string(pkcs1_rsa_key))).jwk() == rsa.jwk());
}

TEST_CASE("a key that spells out its curve is read, and written with the curve's name") {
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  const auto verbose = owned(EVP_PKEY_dup(key.handle()));
  REQUIRE(EVP_PKEY_set_utf8_string_param(verbose.get(), OSSL_PKEY_PARAM_EC_ENCODING, OSSL_PKEY_EC_ENCODING_EXPLICIT) ==
          1);
  const std::string pem = pkcs8(verbose.get());
  CHECK(pem.size() > key.to_pem().reveal().size());
  CHECK(PrivateKey::from_pem(Secret(pem)).to_pem().reveal() == key.to_pem().reveal());
}

TEST_CASE("an encrypted key is refused with the reason, and nobody is asked for the passphrase") {
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  const auto* passphrase = reinterpret_cast<const unsigned char*>("secret");
  const std::string modern = written([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key.handle(), EVP_aes_256_cbc(), "secret", 6, nullptr, nullptr);
  });
  const std::string old = written([&](BIO* bio) {
    return PEM_write_bio_PrivateKey_traditional(bio, key.handle(), EVP_aes_256_cbc(), passphrase, 6, nullptr, nullptr);
  });
  CHECK(contains(modern, "ENCRYPTED PRIVATE KEY"));
  CHECK(contains(old, "Proc-Type: 4,ENCRYPTED"));
  CHECK(contains(complaint(modern), "the private key is encrypted"));
  CHECK(contains(complaint(old), "the private key is encrypted"));
}

TEST_CASE("keys that no KeyType stands for are refused by kind and size") {
  CHECK(contains(complaint(pkcs8(owned(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")).get())), "ED25519"));
  CHECK(contains(complaint(pkcs8(owned(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-521")).get())), "521 bits"));
  CHECK(contains(complaint(pkcs8(owned(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{1024})).get())),
                 "RSA, 1024 bits"));
  CHECK(contains(complaint(pkcs8(owned(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "secp256k1")).get())), "256 bits"));
}

TEST_CASE("a text without a private key is refused as such") {
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  const std::string public_key = written([&](BIO* bio) { return PEM_write_bio_PUBKEY(bio, key.handle()); });
  for (const std::string& text : {std::string(), std::string("hello"), public_key, std::string(10, '\0')}) {
    CAPTURE(text);
    CHECK(contains(complaint(text), "there is no private key"));
  }
  CHECK(contains(complaint(std::string(2 * 1024 * 1024, ' ')), "longer than 1 MiB"));
}

TEST_CASE("a damaged key is refused, wherever it is damaged, or is still that of somebody") {
  const std::string pem(PrivateKey::generate(KeyType::ec256).to_pem().reveal());
  for (std::size_t size = 0; size + 1 < pem.size(); ++size) {
    CAPTURE(size);
    CHECK(complaint(pem.substr(0, size)) != "");
  }
  for (std::size_t at = 0; at < pem.size(); ++at) {
    std::string damaged = pem;
    damaged[at] = damaged[at] == 'A' ? 'B' : 'A';
    complaint(damaged);  // must neither crash nor leave errors behind; another number may make another key
  }
  CHECK(contains(complaint("-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n"), "is damaged"));
  CHECK(contains(complaint("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"), "is damaged"));
}

TEST_CASE("the key of RFC 7515 A.3 has the public half given there") {
  const PrivateKey key = PrivateKey::from_pem(Secret(rfc7515_ec_key));
  CHECK(
      key.jwk() ==
      R"({"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})");
  CHECK(key.thumbprint() == "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
}

TEST_CASE("the JWK of an RSA key has its numbers without leading zeros") {
  const PrivateKey key = PrivateKey::from_pem(Secret(pkcs1_rsa_key));
  CHECK(
      key.jwk() ==
      R"({"e":"AQAB","kty":"RSA","n":"u4Wd1lM9Chkm0E7M3munk7v-eFkHsG2mI9rtCLrSBdqB4BJ7NkeaSZbJqQ3tedLvaxBXIliQQ7MT50EB)"
      R"(jgqMV10MEsM7mk3AbV2eQw-FleagLMWAfBRanV0VKNFCwydfbKtTMVoVbKGP80koybVoHCORCGw97Jm3ibgzdl6sBPLGBM2q6Wem35nG3E7aSV)"
      R"(38OVZ7Y8tbsOY-YLTv5F5rWrqqmRwo1V32pcKbRzqDovcwYH3AKoadab35tpUiIsAgTX3iMtv_j40sI2Bp61Rk69ts-TTs6TkAx1tcBER84mGbl_DS01udE3M_xOtzAcFVxrG2hlSnS5Tuu7gMzrc0Zw"})");
  CHECK(key.thumbprint() == "4vJWdohYngJK8Lgftj0nsOu2VimulgbfTiGi5ObsTGE");
}

TEST_CASE("coordinates keep their full length, whatever zeros they begin with") {
  bool leading_zero_seen = false;
  for (int i = 0; i < 2000 || !leading_zero_seen; ++i) {
    const std::string jwk = PrivateKey::generate(KeyType::ec256).jwk();
    for (const char* name : {"x", "y"}) {
      const auto coordinate = base64url_decode(member(jwk, name));
      REQUIRE(coordinate.has_value());
      REQUIRE(coordinate->size() == 32);
      leading_zero_seen = leading_zero_seen || coordinate->front() == '\0';
    }
  }
  const auto x = base64url_decode(member(PrivateKey::generate(KeyType::ec384).jwk(), "x"));
  CHECK(x.value().size() == 48);
}

TEST_CASE("the verification used here takes the signature of RFC 7515 A.3") {
  CHECK(verifies(
      PrivateKey::from_pem(Secret(rfc7515_ec_key)), "SHA256",
      "eyJhbGciOiJFUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
      base64url_decode("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
          .value()));
}

TEST_CASE("signatures have the algorithm, the fixed length and the form of RFC 7518 3") {
  struct Expected {
    KeyType type;
    std::string_view algorithm;
    const char* digest;
    std::size_t size;
  };
  const Expected table[] = {{KeyType::ec256, "ES256", "SHA256", 64},
                            {KeyType::ec384, "ES384", "SHA384", 96},
                            {KeyType::rsa2048, "RS256", "SHA256", 256},
                            {KeyType::rsa3072, "RS256", "SHA256", 384}};
  for (const Expected& expected : table) {
    CAPTURE(expected.algorithm);
    const PrivateKey key = PrivateKey::generate(expected.type);
    CHECK(key.jws_algorithm() == expected.algorithm);
    const std::string signature = key.sign_jws("protected.payload");
    CHECK(signature.size() == expected.size);
    CHECK(verifies(key, expected.digest, "protected.payload", signature));
    CHECK_FALSE(verifies(key, expected.digest, "protected.payloaD", signature));
    CHECK(verifies(key, expected.digest, "", key.sign_jws("")));
  }
}

TEST_CASE("r and s are padded, so that no signature of a thousand is shorter") {
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  bool leading_zero_seen = false;
  for (int i = 0; i < 1000 || !leading_zero_seen; ++i) {
    const std::string signature = key.sign_jws("data");
    REQUIRE(signature.size() == 64);
    leading_zero_seen = leading_zero_seen || signature.front() == '\0' || signature[32] == '\0';
  }
}

TEST_CASE("one key signs in many threads at a time") {
  const PrivateKey rsa = PrivateKey::generate(KeyType::rsa2048);
  const std::string expected = rsa.sign_jws("data");  // RS256 gives the same signature each time
  std::vector<std::string> got(4);
  {
    std::vector<std::jthread> threads;
    for (std::string& signature : got) {
      threads.emplace_back([&rsa, &signature] {
        for (int i = 0; i < 20; ++i) signature = rsa.sign_jws("data");
      });
    }
  }
  for (const std::string& signature : got) CHECK(signature == expected);
}

TEST_CASE("a passphrase that is as long as can be is read again, and a longer one is refused when a key is stored") {
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  const Secret longest(std::string(longest_passphrase, 'x'));
  CHECK(PrivateKey::from_encrypted_pem(key.to_encrypted_pem(longest), longest).thumbprint() == key.thumbprint());
  CHECK_THROWS_WITH_AS(key.to_encrypted_pem(Secret(std::string(longest_passphrase + 1, 'x'))),
                       "the passphrase is longer than 1024 bytes: take a shorter one", Error);
}

TEST_CASE("a key that is stored with a passphrase is read with it, and with no other") {
  for (const KeyType type : {KeyType::rsa2048, KeyType::ec256}) {
    const PrivateKey key = PrivateKey::generate(type);
    const Secret stored = key.to_encrypted_pem(Secret("correct horse"));
    CHECK(stored.reveal().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    CHECK(stored.reveal() != key.to_encrypted_pem(Secret("correct horse")).reveal());
    CHECK(PrivateKey::from_encrypted_pem(stored, Secret("correct horse")).thumbprint() == key.thumbprint());
    CHECK_THROWS_WITH_AS(PrivateKey::from_encrypted_pem(stored, Secret("battery staple")),
                         "the private key is encrypted with another passphrase, or damaged", Error);
    CHECK_THROWS_AS(PrivateKey::from_pem(stored), Error);
    CHECK(PrivateKey::from_encrypted_pem(key.to_pem(), Secret("not needed")).thumbprint() == key.thumbprint());
  }
  CHECK(ERR_peek_error() == 0);
}
