#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include <acme_agent/base/key_type.hpp>
#include <acme_agent/base/secret.hpp>

struct evp_pkey_st;

namespace acme_agent {

/// PEM_BUFSIZE: the room that OpenSSL has for a passphrase when it reads a key.
inline constexpr std::size_t longest_passphrase = 1024;

/// A private key; immutable, cheap to copy, and safe to share between threads. OpenSSL wipes it with its last copy.
class PrivateKey {
 public:
  /// An RSA key takes a tenth of a second or more, an EC key nothing.
  static PrivateKey generate(KeyType type);

  /// Reads an unencrypted PEM key (PKCS #8 or the older forms). Throws Error (ask_operator) if there is none in
  /// `pem` or it is of a kind that KeyType does not know.
  static PrivateKey from_pem(const Secret& pem);

  /// The same of an encrypted one; one that is not is read as well. Throws Error (ask_operator) if the passphrase does
  /// not fit, too.
  static PrivateKey from_encrypted_pem(const Secret& pem, const Secret& passphrase);

  KeyType type() const;

  /// PKCS #8, unencrypted.
  Secret to_pem() const;

  /// PKCS #8, encrypted by AES-256 with a key that scrypt makes of the passphrase (RFC 7914); another text each time.
  /// Throws Error (ask_operator) for a passphrase longer than longest_passphrase, with which it could not be read.
  Secret to_encrypted_pem(const Secret& passphrase) const;

  /// The public key as a JWK (RFC 7517) in the canonical form that RFC 7638 3 hashes. EC keys and RSA keys.
  std::string jwk() const;

  /// SHA-256 of jwk() in base64url (RFC 7638).
  std::string thumbprint() const;

  /// The signature of a JWS (RFC 7518 3) with jws_algorithm(): for EC keys r and s, each in the curve's full length.
  std::string sign_jws(std::string_view data) const;

  /// "ES256", "ES384" or "RS256".
  std::string_view jws_algorithm() const;

  /// For the other files of this room, and tests.
  evp_pkey_st* handle() const noexcept;

 private:
  struct Content;

  static PrivateKey read(const Secret& pem, const Secret* passphrase);
  explicit PrivateKey(std::shared_ptr<Content> content) : content_(std::move(content)) {}

  std::shared_ptr<Content> content_;
};

}  // namespace acme_agent
