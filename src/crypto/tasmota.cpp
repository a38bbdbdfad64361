#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>
#include <memory>
#include <optional>
#include <string_view>

#include <acme_agent/base/base64url.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/tasmota.hpp>

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

std::string array(std::string_view name, std::string_view octets) {
  constexpr std::size_t in_a_line = 12;
  std::string text = "static const unsigned char PROGMEM " + std::string(name) + "[] = {";
  for (std::size_t i = 0; i < octets.size(); ++i) {
    text += i == 0 ? "" : ",";
    text += (i % in_a_line == 0 ? "\n\t0x" : " 0x") + in_hexadecimal(octets.substr(i, 1));
  }
  return text + "\n};\n\n";
}

/// A pointer and its size, as BearSSL's structures have them.
std::string reference(const std::string& name) {
  return "(unsigned char *)" + name + ", sizeof " + name;
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

Secret tasmota_client_key(const PrivateKey& key) {
  if (key.type() != KeyType::ec256)
    throw Error(Remedy::ask_operator, "Tasmota takes no key of its own but one of P-256");
  BIGNUM* found = nullptr;
  require(EVP_PKEY_get_bn_param(key.handle(), OSSL_PKEY_PARAM_PRIV_KEY, &found) == 1, "to read a private key");
  const std::unique_ptr<BIGNUM, Free<BN_clear_free>> owned(found);
  std::array<unsigned char, 32> octets{};
  require(BN_bn2binpad(found, octets.data(), octets.size()) == octets.size(), "to read a private key");
  Secret text(base64_encode({reinterpret_cast<const char*>(octets.data()), octets.size()}));
  OPENSSL_cleanse(octets.data(), octets.size());
  return text;
}

std::string tasmota_client_certificate(const Certificate& certificate) {
  constexpr std::size_t room = 928;  // a flash block of 1024, without its directory and the key
  if (certificate.key_type() != KeyType::ec256)
    throw Error(Remedy::ask_operator, "Tasmota takes no certificate of its own but one for a key of P-256");
  const std::string der = certificate.der();
  if (der.size() > room)
    throw Error(Remedy::ask_operator, "the certificate of " + printable(certificate.subject()) + " has " +
                                          std::to_string(der.size()) + " bytes, and Tasmota has room for " +
                                          std::to_string(room));
  return base64_encode(der);
}

TasmotaHeaders tasmota_headers(const Certificate& root) {
  if (X509_check_ca(root.handle()) == 0)
    throw Error(Remedy::ask_operator, "the certificate of " + printable(root.subject()) +
                                          " is none of an authority: give the root that the broker's chain ends at");
  const unsigned char* name = nullptr;
  std::size_t size = 0;
  require(X509_NAME_get0_der(X509_get_subject_name(root.handle()), &name, &size) == 1, "to read a name");
  const EVP_PKEY* key = X509_get0_pubkey(root.handle());
  TasmotaHeaders headers;
  headers.data = array("TA0_DN", {reinterpret_cast<const char*>(name), size});
  std::string kind;
  if (key != nullptr && EVP_PKEY_is_a(key, "RSA") == 1 && EVP_PKEY_get_bits(key) <= 4096) {
    headers.data +=
        array("TA0_RSA_N", number(key, OSSL_PKEY_PARAM_RSA_N)) + array("TA0_RSA_E", number(key, OSSL_PKEY_PARAM_RSA_E));
    kind =
        "BR_KEYTYPE_RSA,\n\t\t\t{ .rsa = {\n\t\t\t\t" + reference("TA0_RSA_N") + ",\n\t\t\t\t" + reference("TA0_RSA_E");
  } else if (key != nullptr && root.key_type() == KeyType::ec256) {
    headers.data += array("TA0_EC_Q", point(key));
    kind = "BR_KEYTYPE_EC,\n\t\t\t{ .ec = {\n\t\t\t\tBR_EC_secp256r1,\n\t\t\t\t" + reference("TA0_EC_Q");
  } else {
    throw Error(Remedy::ask_operator, "the key of " + printable(root.subject()) +
                                          " is neither RSA of at most 4096 bits nor P-256, and Tasmota knows no other");
  }
  headers.descriptor = "\t{\n\t\t{ " + reference("TA0_DN") + " },\n\t\tBR_X509_TA_CA,\n\t\t{\n\t\t\t" + kind +
                       ",\n\t\t\t} }\n\t\t}\n\t}\n";
  return headers;
}

}  // namespace acme_agent
