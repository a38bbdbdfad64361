#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <acme_agent/base/base64url.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/private_jwk.hpp>

#include "openssl.hpp"

namespace acme_agent {
namespace {

constexpr std::size_t longest_number = 700;  // of 4096 bits in base64url, and some more

using SecretNumber = std::unique_ptr<BIGNUM, Free<BN_clear_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>>;

[[noreturn]] void refuse(const std::string& why) {
  throw Error(Remedy::ask_operator, "the private key (JWK) cannot be used: " + why);
}

std::string_view text_of(const JwkMembers& members, std::string_view name) {
  const auto found = members.find(name);
  if (found == members.end() || found->second.empty()) refuse("\"" + std::string(name) + "\" is missing");
  return found->second.reveal();
}

/// Base64urlUInt, or the octets of a coordinate (RFC 7518 2, 6.2.1.2).
Secret octets_of(const JwkMembers& members, std::string_view name) {
  const std::string_view text = text_of(members, name);
  std::optional<std::string> octets;
  if (text.size() <= longest_number) octets = base64url_decode(text);
  if (!octets) refuse("\"" + std::string(name) + "\" is no number in base64url");
  Secret secret(*octets);
  OPENSSL_cleanse(octets->data(), octets->size());
  return secret;
}

SecretNumber number_of(const JwkMembers& members, std::string_view name) {
  const Secret secret = octets_of(members, name);
  const std::string_view octets = secret.reveal();
  SecretNumber number(BN_secure_new());
  require(number != nullptr && BN_bin2bn(reinterpret_cast<const unsigned char*>(octets.data()),
                                         static_cast<int>(octets.size()), number.get()) != nullptr,
          "to read a number of a key");
  return number;
}

/// What a key is made of; the numbers live as long as it does.
struct Parts {
  std::unique_ptr<OSSL_PARAM_BLD, Free<OSSL_PARAM_BLD_free>> builder{OSSL_PARAM_BLD_new()};
  std::vector<SecretNumber> numbers{};
  std::string point{};

  void add(const char* parameter, SecretNumber number) {
    require(OSSL_PARAM_BLD_push_BN(builder.get(), parameter, number.get()) == 1, "to read a private key");
    numbers.push_back(std::move(number));
  }
};

Key key_from(const char* kind, const Parts& parts) {
  const std::unique_ptr<OSSL_PARAM, Free<OSSL_PARAM_free>> parameters(OSSL_PARAM_BLD_to_param(parts.builder.get()));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  require(parameters != nullptr && context != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1,
          "to read a private key");
  EVP_PKEY* made = nullptr;
  const bool fits = EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_KEYPAIR, parameters.get()) == 1;
  Key key(made);
  if (fits) {
    const KeyContext checking(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
    require(checking != nullptr, "to check a private key");
    if (EVP_PKEY_check(checking.get()) == 1) return key;
  }
  refuse("its numbers make no key together (" + take_openssl_reason() + ")");
}

Key ec_key(const JwkMembers& members) {
  const std::string_view curve = text_of(members, "crv");
  if (curve != "P-256" && curve != "P-384")
    refuse("its curve is '" + printable(curve, 40) + "', and not P-256 or P-384");
  const std::size_t size = curve == "P-384" ? 48 : 32;
  const std::string_view group = curve == "P-384" ? "secp384r1" : "prime256v1";
  Parts parts;
  parts.point = "\x04";  // uncompressed (SEC 1 2.3.3)
  for (const char* coordinate : {"x", "y"}) {
    const Secret octets = octets_of(members, coordinate);
    if (octets.reveal().size() != size)
      refuse("\"" + std::string(coordinate) + "\" is not as long as the curve has it");
    parts.point += octets.reveal();
  }
  require(OSSL_PARAM_BLD_push_utf8_string(parts.builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group.data(),
                                          group.size()) == 1 &&
              OSSL_PARAM_BLD_push_octet_string(parts.builder.get(), OSSL_PKEY_PARAM_PUB_KEY, parts.point.data(),
                                               parts.point.size()) == 1,
          "to read a private key");
  parts.add(OSSL_PKEY_PARAM_PRIV_KEY, number_of(members, "d"));
  return key_from("EC", parts);
}

Key rsa_key(const JwkMembers& members) {
  constexpr std::array<std::pair<const char*, const char*>, 8> all{{{OSSL_PKEY_PARAM_RSA_N, "n"},
                                                                    {OSSL_PKEY_PARAM_RSA_E, "e"},
                                                                    {OSSL_PKEY_PARAM_RSA_D, "d"},
                                                                    {OSSL_PKEY_PARAM_RSA_FACTOR1, "p"},
                                                                    {OSSL_PKEY_PARAM_RSA_FACTOR2, "q"},
                                                                    {OSSL_PKEY_PARAM_RSA_EXPONENT1, "dp"},
                                                                    {OSSL_PKEY_PARAM_RSA_EXPONENT2, "dq"},
                                                                    {OSSL_PKEY_PARAM_RSA_COEFFICIENT1, "qi"}}};
  if (members.contains("oth")) refuse("it has more than two primes");  // RFC 7518 6.3.2.7
  Parts parts;
  for (const auto& [parameter, name] : all) parts.add(parameter, number_of(members, name));
  return key_from("RSA", parts);
}

}  // namespace

PrivateKey read_private_jwk(const JwkMembers& members) {
  const std::string_view kind = text_of(members, "kty");
  if (kind != "EC" && kind != "RSA") refuse("its kind is '" + printable(kind, 40) + "', and not EC or RSA");
  const Key key = kind == "EC" ? ec_key(members) : rsa_key(members);
  take_openssl_reason();
  const Bio bio(BIO_new(BIO_s_secmem()));
  require(
      bio != nullptr && PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1,
      "to read a private key");
  return PrivateKey::from_pem(Secret(contents(bio.get())));  // which has the last word on the kind of key
}

}  // namespace acme_agent
