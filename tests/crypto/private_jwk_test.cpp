#include <doctest/doctest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <memory>
#include <utility>

#include <acme_agent/base/base64url.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/free.hpp>
#include <acme_agent/crypto/private_jwk.hpp>

using namespace acme_agent;

namespace {

JwkMembers jwk(const std::map<std::string, std::string>& texts) {
  JwkMembers members;
  for (const auto& [name, text] : texts) members.emplace(name, Secret(text));
  return members;
}

/// RFC 7515 A.3.1
std::map<std::string, std::string> ec() {
  return {{"kty", "EC"},
          {"crv", "P-256"},
          {"x", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"},
          {"y", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
          {"d", "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}};
}

std::map<std::string, std::string> rsa(const PrivateKey& key) {
  std::map<std::string, std::string> texts{{"kty", "RSA"}};
  const std::pair<const char*, const char*> numbers[] = {
      {"n", OSSL_PKEY_PARAM_RSA_N},          {"e", OSSL_PKEY_PARAM_RSA_E},
      {"d", OSSL_PKEY_PARAM_RSA_D},          {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
      {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},    {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
      {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2}, {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1}};
  for (const auto& [name, parameter] : numbers) {
    BIGNUM* value = nullptr;
    REQUIRE(EVP_PKEY_get_bn_param(key.handle(), parameter, &value) == 1);
    const std::unique_ptr<BIGNUM, Free<BN_free>> number(value);
    std::string octets(static_cast<std::size_t>(BN_num_bytes(value)), '\0');
    BN_bn2bin(value, reinterpret_cast<unsigned char*>(octets.data()));
    texts[name] = base64url_encode(octets);
  }
  return texts;
}

std::string refusal(const std::map<std::string, std::string>& texts) {
  try {
    read_private_jwk(jwk(texts));
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::ask_operator);
    CHECK(ERR_peek_error() == 0);
    return error.message();
  }
  return "accepted";
}

std::string refusal(std::map<std::string, std::string> texts, const std::string& name, const std::string& text) {
  texts[name] = text;
  return refusal(texts);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the EC key of RFC 7515 is read, and has the thumbprint of its public half") {
  const PrivateKey key = read_private_jwk(jwk(ec()));
  CHECK(key.type() == KeyType::ec256);
  CHECK(key.jwk() == R"({"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
                     R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})");
}

TEST_CASE("an RSA key comes back as the one that was written") {
  const PrivateKey key = PrivateKey::generate(KeyType::rsa2048);
  CHECK(read_private_jwk(jwk(rsa(key))).to_pem().reveal() == key.to_pem().reveal());
}

TEST_CASE("a JWK without one of its members is refused by the name of that") {
  for (const auto& [name, text] : ec()) CHECK(contains(refusal(ec(), name, ""), "\"" + name + "\" is missing"));
  const auto whole = rsa(PrivateKey::generate(KeyType::rsa2048));
  for (const auto& [name, text] : whole) {
    auto texts = whole;
    texts.erase(name);
    CHECK(contains(refusal(texts), "\"" + name + "\" is missing"));
  }
}

TEST_CASE("numbers that make no key together are refused, and so is what is no number") {
  CHECK(contains(refusal(ec(), "d", "AQ"), "make no key together"));
  CHECK(contains(refusal(ec(), "x", std::string(43, 'A')), "make no key together"));
  CHECK(contains(refusal(ec(), "x", "AQAB"), "\"x\" is not as long as the curve has it"));
  CHECK(contains(refusal(ec(), "d", "not base64!"), "\"d\" is no number in base64url"));
  CHECK(contains(refusal(ec(), "d", std::string(100'000, 'A')), "\"d\" is no number in base64url"));
  const auto whole = rsa(PrivateKey::generate(KeyType::rsa2048));
  for (const std::string name : {"n", "e", "d", "p", "q", "dp", "dq", "qi"})
    for (const std::string number : {"AA", "AQ", "Ag", "__________8"}) {
      CAPTURE(name);
      CAPTURE(number);
      CHECK(contains(refusal(whole, name, number), "cannot be used"));
    }
  CHECK(contains(refusal(whole, "oth", "[]"), "more than two primes"));
}

TEST_CASE("kinds of keys that are not ours are refused by name") {
  CHECK(contains(refusal(ec(), "kty", "oct"), "its kind is 'oct'"));
  CHECK(contains(refusal(ec(), "kty", "\x1b[31m"), "\\x1b[31m"));
  CHECK(contains(refusal(ec(), "crv", "P-521"), "its curve is 'P-521'"));
  CHECK(contains(refusal({}), "\"kty\" is missing"));
}
