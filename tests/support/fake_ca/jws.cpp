#include "support/fake_ca/jws.hpp"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>

#include <acme_agent/base/base64url.hpp>
#include <acme_agent/crypto/digest.hpp>

#include "support/fake_ca/refusal.hpp"

namespace acme_agent::test {

using nlohmann::json;

namespace {

using Pkey = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

/// RFC 7638 3.
json canonical(const json& jwk) {
  if (text_of(jwk, "kty") == "EC") {
    return {{"crv", jwk.at("crv")}, {"kty", "EC"}, {"x", jwk.at("x")}, {"y", jwk.at("y")}};
  }
  return {{"e", jwk.at("e")}, {"kty", "RSA"}, {"n", jwk.at("n")}};
}

/// The curve's size in bytes; 0 for an RSA key.
std::size_t coordinate_size(const json& jwk) {
  if (text_of(jwk, "kty") == "RSA") return 0;
  if (text_of(jwk, "crv") == "P-256") return 32;
  if (text_of(jwk, "crv") == "P-384") return 48;
  throw malformed("unknown kind of key");
}

}  // namespace

Pkey public_key(const json& jwk) {
  const std::unique_ptr<OSSL_PARAM_BLD, Free<OSSL_PARAM_BLD_free>> builder(OSSL_PARAM_BLD_new());
  using Number = std::unique_ptr<BIGNUM, Free<BN_free>>;
  Number n;
  Number e;
  std::string point;
  const std::size_t size = coordinate_size(jwk);
  if (size > 0) {
    const std::string x = decoded(jwk, "x");
    const std::string y = decoded(jwk, "y");
    // RFC 7518 6.2.1.2: the full size of a coordinate, leading zeros and all.
    if (x.size() != size || y.size() != size) throw malformed("a coordinate of the key has the wrong length");
    point = '\x04' + x + y;
    OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, size == 32 ? "P-256" : "P-384", 0);
    OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  } else {
    const auto number = [&jwk](const char* name) {
      const std::string bytes = decoded(jwk, name);
      return Number(
          BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr));
    };
    n = number("n");
    e = number("e");
    OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
    OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  }
  const std::unique_ptr<OSSL_PARAM, Free<OSSL_PARAM_free>> params(OSSL_PARAM_BLD_to_param(builder.get()));
  const std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>> context(
      EVP_PKEY_CTX_new_from_name(nullptr, size > 0 ? "EC" : "RSA", nullptr));
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    throw malformed("the key is none");
  }
  return Pkey(key);
}

namespace {

/// r and s, as ECDSA signatures stand in X.509.
std::string to_der(const std::string& signature) {
  const int half = static_cast<int>(signature.size() / 2);
  const auto* bytes = reinterpret_cast<const unsigned char*>(signature.data());
  const std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG_free>> pair(ECDSA_SIG_new());
  ECDSA_SIG_set0(pair.get(), BN_bin2bn(bytes, half, nullptr), BN_bin2bn(bytes + half, half, nullptr));
  unsigned char* der = nullptr;
  const int length = i2d_ECDSA_SIG(pair.get(), &der);
  std::string text(reinterpret_cast<char*>(der), static_cast<std::size_t>(length));
  OPENSSL_free(der);
  return text;
}

}  // namespace

void check_signature(const Jws& jws, const json& jwk) {
  std::string signature = jws.signature;
  const std::string& data = jws.signed_data;
  const std::size_t size = coordinate_size(jwk);
  const std::string wanted = size == 0 ? "RS256" : size == 32 ? "ES256" : "ES384";
  if (text_of(jws.header, "alg") != wanted) throw Refusal{400, "badSignatureAlgorithm", "the key wants " + wanted};
  if (size > 0) {
    if (signature.size() != 2 * size) throw malformed("the signature has the wrong length");
    signature = to_der(signature);
  }
  const Pkey key = public_key(jwk);
  const std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  const EVP_MD* digest = size == 48 ? EVP_sha384() : EVP_sha256();
  if (EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key.get()) != 1 ||
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                       reinterpret_cast<const unsigned char*>(data.data()), data.size()) != 1) {
    throw malformed("the signature is wrong");
  }
}

std::string thumbprint(const json& jwk) {
  return base64url_encode(sha256(canonical(jwk).dump()));
}

Jws read_jws(const json& jws) {
  if (!jws.is_object() || jws.contains("header") || jws.contains("signatures")) {
    throw malformed("the body is no flattened JWS without an unprotected header");
  }
  const json header = json::parse(decoded(jws, "protected"), nullptr, false);
  Jws read{text_of(jws, "protected") + "." + text_of(jws, "payload"), header, decoded(jws, "payload"),
           decoded(jws, "signature")};
  if (!header.is_object() || read.signature.empty()) throw malformed("the JWS is not signed");
  return read;
}

}  // namespace acme_agent::test
