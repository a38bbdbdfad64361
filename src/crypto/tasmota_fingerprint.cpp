#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>
#include <memory>
#include <optional>
#include <string_view>

#include <acme_agent/crypto/tasmota_fingerprint.hpp>

#include "openssl.hpp"

namespace acme_agent {
namespace {

/// As in SSH (RFC 4251 5), but for numbers with the high bit set: no zero stands in front of them.
void append_field(std::string& text, std::string_view octets) {
  for (const int shift : {24, 16, 8, 0}) text += static_cast<char>(octets.size() >> shift & 0xff);
  text += octets;
}

std::string number(const EVP_PKEY* key, const char* name) {
  BIGNUM* found = nullptr;
  require(EVP_PKEY_get_bn_param(key, name, &found) == 1, "to read a public key");
  const std::unique_ptr<BIGNUM, Free<BN_free>> owned(found);
  std::string octets(static_cast<std::size_t>(BN_num_bytes(found)), '\0');
  BN_bn2bin(found, reinterpret_cast<unsigned char*>(octets.data()));
  return octets;
}

std::string point(const EVP_PKEY* key) {
  std::array<unsigned char, 65> octets{};  // uncompressed (SEC 1 2.3.3)
  std::size_t size = 0;
  require(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, octets.data(), octets.size(), &size) == 1,
          "to read a public key");
  return {reinterpret_cast<const char*>(octets.data()), size};
}

std::string in_hexadecimal(std::string_view octets) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string text;
  for (const char octet : octets) {
    if (!text.empty()) text += ' ';
    text += digits[static_cast<unsigned char>(octet) >> 4];
    text += digits[static_cast<unsigned char>(octet) & 0xf];
  }
  return text;
}

std::string fingerprint_of(const EVP_PKEY* key, std::optional<KeyType> type) {
  std::string text;
  if (key != nullptr && EVP_PKEY_is_a(key, "RSA") == 1) {
    append_field(text, "ssh-rsa");
    append_field(text, number(key, OSSL_PKEY_PARAM_RSA_E));
    append_field(text, number(key, OSSL_PKEY_PARAM_RSA_N));
  } else if (key != nullptr && type == KeyType::ec256) {
    append_field(text, "ecdsa-sha2-nistp256");
    append_field(text, point(key));
  } else {
    throw Error(Remedy::ask_operator, "Tasmota knows no fingerprint of this kind of key: it takes RSA and P-256");
  }
  std::string digest(SHA_DIGEST_LENGTH, '\0');
  require(EVP_Q_digest(nullptr, "SHA1", nullptr, text.data(), text.size(),
                       reinterpret_cast<unsigned char*>(digest.data()), nullptr) == 1,
          "to compute a SHA-1 digest");
  return in_hexadecimal(digest);
}

}  // namespace

std::string tasmota_fingerprint(const Certificate& certificate) {
  return fingerprint_of(X509_get0_pubkey(certificate.handle()), certificate.key_type());
}

std::string tasmota_fingerprint(const PrivateKey& key) {
  return fingerprint_of(key.handle(), key.type());
}

}  // namespace acme_agent
