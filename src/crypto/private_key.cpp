#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>

#include <array>
#include <mutex>
#include <utility>

#include <acme_agent/base/base64url.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/digest.hpp>
#include <acme_agent/crypto/private_key.hpp>

#include "key_type.hpp"
#include "openssl.hpp"

namespace acme_agent {
namespace {

// Room for a key behind a long chain in one file; the limit guards against a wrong path.
constexpr std::size_t max_pem_bytes = 1024 * 1024;

using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

/// Octets of one coordinate of a point, and of r and s in a signature.
std::size_t field_size(KeyType type) {
  return type == KeyType::ec384 ? 48 : 32;
}

Bignum number(const EVP_PKEY* key, const char* parameter) {
  BIGNUM* value = nullptr;
  require(EVP_PKEY_get_bn_param(key, parameter, &value) == 1, "to read a number of a key");
  return Bignum(value);
}

std::string padded(const BIGNUM* value, std::size_t size) {
  std::string octets(size, '\0');
  require(BN_bn2binpad(value, reinterpret_cast<unsigned char*>(octets.data()), static_cast<int>(size)) >= 0,
          "to write a number of a key");
  return octets;
}

std::string minimal(const BIGNUM* value) {
  return padded(value, static_cast<std::size_t>(BN_num_bytes(value)));
}

static_assert(longest_passphrase == PEM_BUFSIZE);

struct Passphrase {
  const Secret* given = nullptr;
  bool asked = false;
};

/// Instead of asking on the terminal, which is what OpenSSL does without a callback.
int tell_passphrase(char* buffer, int size, int, void* context) {
  auto& passphrase = *static_cast<Passphrase*>(context);
  passphrase.asked = true;
  if (passphrase.given == nullptr || passphrase.given->reveal().size() > static_cast<std::size_t>(size)) return -1;
  return static_cast<int>(passphrase.given->reveal().copy(buffer, static_cast<std::size_t>(size)));
}

std::string describe_kind(const EVP_PKEY* key) {
  const char* name = EVP_PKEY_get0_type_name(key);
  return std::string(name != nullptr ? name : "unknown") + ", " + std::to_string(EVP_PKEY_get_bits(key)) + " bits";
}

}  // namespace

std::optional<KeyType> key_type_of(const EVP_PKEY* key) {
  if (key == nullptr) return std::nullopt;
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    switch (EVP_PKEY_get_bits(key)) {
      case 2048:
        return KeyType::rsa2048;
      case 3072:
        return KeyType::rsa3072;
      case 4096:
        return KeyType::rsa4096;
      default:
        return std::nullopt;
    }
  }
  if (EVP_PKEY_is_a(key, "EC") == 1) {
    std::array<char, 64> group{};
    if (EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) != 1) {
      take_openssl_reason();
      return std::nullopt;
    }
    const std::string_view name = group.data();
    if (name == SN_X9_62_prime256v1) return KeyType::ec256;
    if (name == SN_secp384r1) return KeyType::ec384;
  }
  return std::nullopt;
}

void name_curve(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "EC") == 1)
    require(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, OSSL_PKEY_EC_ENCODING_GROUP) == 1,
            "to read a key");
}

struct PrivateKey::Content {
  explicit Content(Key key) : handle(std::move(key)) {}

  const Key handle;
  std::once_flag written;
  Secret pem;  // OpenSSL takes a millisecond to write one, and several files want it
};

EVP_PKEY* PrivateKey::handle() const noexcept {
  return content_->handle.get();
}

PrivateKey PrivateKey::generate(KeyType type) {
  Key key;
  switch (type) {
    case KeyType::rsa2048:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048}));
      break;
    case KeyType::rsa3072:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{3072}));
      break;
    case KeyType::rsa4096:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{4096}));
      break;
    case KeyType::ec256:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
      break;
    case KeyType::ec384:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"));
      break;
  }
  require(key != nullptr, "to make a private key");
  return PrivateKey(std::make_shared<Content>(std::move(key)));
}

PrivateKey PrivateKey::from_pem(const Secret& pem) {
  return read(pem, nullptr);
}

PrivateKey PrivateKey::from_encrypted_pem(const Secret& pem, const Secret& passphrase) {
  return read(pem, &passphrase);
}

PrivateKey PrivateKey::read(const Secret& pem, const Secret* given) {
  const std::string_view text = pem.reveal();
  if (text.size() > max_pem_bytes) {
    throw Error(Remedy::ask_operator, "the private key cannot be read: the text is longer than 1 MiB");
  }
  const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  require(bio != nullptr, "to read a private key");
  Passphrase passphrase{given};
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, tell_passphrase, &passphrase));
  if (key == nullptr && passphrase.asked && given != nullptr) {
    take_openssl_reason();
    throw Error(Remedy::ask_operator, "the private key is encrypted with another passphrase, or damaged");
  }
  if (passphrase.asked && given == nullptr) {
    take_openssl_reason();
    throw Error(Remedy::ask_operator,
                "the private key is encrypted, and nobody is there to type its passphrase when it is needed; store it "
                "without one (openssl pkey -in OLD -out NEW)");
  }
  if (key == nullptr) {
    const std::string reason = take_openssl_reason();
    if (text.find("PRIVATE KEY-----") == std::string_view::npos) {
      throw Error(Remedy::ask_operator, "there is no private key in the text: a PEM block PRIVATE KEY was expected");
    }
    throw Error(Remedy::ask_operator, "the private key is damaged (" + reason + ")");
  }
  take_openssl_reason();  // what the decoders that were tried in vain have left
  if (!key_type_of(key.get())) {
    throw Error(Remedy::ask_operator, "the private key is of a kind that cannot be used (" + describe_kind(key.get()) +
                                          "); " + join(key_type_words()) + " can");
  }
  name_curve(key.get());
  return PrivateKey(std::make_shared<Content>(std::move(key)));
}

KeyType PrivateKey::type() const {
  return key_type_of(handle()).value();
}

Secret PrivateKey::to_pem() const {
  std::call_once(content_->written, [this] {
    const Bio bio(BIO_new(BIO_s_secmem()));  // wiped when it grows and when it is freed
    require(bio != nullptr &&
                PEM_write_bio_PKCS8PrivateKey(bio.get(), handle(), nullptr, nullptr, 0, nullptr, nullptr) == 1,
            "to write a private key");
    content_->pem = Secret(contents(bio.get()));
  });
  return content_->pem;
}

Secret PrivateKey::to_encrypted_pem(const Secret& passphrase) const {
  constexpr const char* doing = "to encrypt a private key";
  if (passphrase.reveal().size() > longest_passphrase)
    throw Error(Remedy::ask_operator,
                "the passphrase is longer than " + std::to_string(longest_passphrase) + " bytes: take a shorter one");
  // 16 MiB and some 50 ms for each guess, which a Raspberry Pi has to spare.
  constexpr std::uint64_t cost = 1 << 14;
  constexpr std::uint64_t block_size = 8;
  X509_ALGOR* const scheme = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), nullptr, 16, nullptr, cost, block_size, 1);
  std::unique_ptr<X509_ALGOR, Free<X509_ALGOR_free>> owned(scheme);
  const std::unique_ptr<PKCS8_PRIV_KEY_INFO, Free<PKCS8_PRIV_KEY_INFO_free>> plain(EVP_PKEY2PKCS8(handle()));
  require(scheme != nullptr && plain != nullptr, doing);
  const std::unique_ptr<X509_SIG, Free<X509_SIG_free>> encrypted(
      PKCS8_set0_pbe(passphrase.reveal().data(), static_cast<int>(passphrase.reveal().size()), plain.get(), scheme));
  require(encrypted != nullptr, doing);
  owned.release();  // it is a part of `encrypted` now
  const Bio bio(BIO_new(BIO_s_mem()));
  require(bio != nullptr && PEM_write_bio_PKCS8(bio.get(), encrypted.get()) == 1, doing);
  return Secret(contents(bio.get()));
}

std::string PrivateKey::jwk() const {
  if (is_rsa(type())) {
    return R"({"e":")" + base64url_encode(minimal(number(handle(), OSSL_PKEY_PARAM_RSA_E).get())) +
           R"(","kty":"RSA","n":")" + base64url_encode(minimal(number(handle(), OSSL_PKEY_PARAM_RSA_N).get())) +
           R"("})";
  }
  // RFC 7518 6.2.1.2: the full length of a coordinate, leading zeros included.
  const std::size_t size = field_size(type());
  const std::string x = padded(number(handle(), OSSL_PKEY_PARAM_EC_PUB_X).get(), size);
  const std::string y = padded(number(handle(), OSSL_PKEY_PARAM_EC_PUB_Y).get(), size);
  return std::string(R"({"crv":")") + (type() == KeyType::ec384 ? "P-384" : "P-256") + R"(","kty":"EC","x":")" +
         base64url_encode(x) + R"(","y":")" + base64url_encode(y) + R"("})";
}

std::string PrivateKey::thumbprint() const {
  return base64url_encode(sha256(jwk()));
}

std::string PrivateKey::sign_jws(std::string_view data) const {
  const std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  const char* digest = type() == KeyType::ec384 ? "SHA384" : "SHA256";
  require(context != nullptr &&
              EVP_DigestSignInit_ex(context.get(), nullptr, digest, nullptr, nullptr, handle(), nullptr) == 1,
          "to sign");
  const auto* input = reinterpret_cast<const unsigned char*>(data.data());
  std::size_t size = 0;
  require(EVP_DigestSign(context.get(), nullptr, &size, input, data.size()) == 1, "to sign");
  std::string signature(size, '\0');
  require(
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, input, data.size()) == 1,
      "to sign");
  signature.resize(size);
  if (is_rsa(type())) return signature;

  // RFC 7518 3.4: r and s in full length one after the other, not the DER that OpenSSL makes.
  const auto* der = reinterpret_cast<const unsigned char*>(signature.data());
  const std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG_free>> pair(
      d2i_ECDSA_SIG(nullptr, &der, static_cast<long>(signature.size())));
  require(pair != nullptr, "to sign");
  return padded(ECDSA_SIG_get0_r(pair.get()), field_size(type())) +
         padded(ECDSA_SIG_get0_s(pair.get()), field_size(type()));
}

std::string_view PrivateKey::jws_algorithm() const {
  switch (type()) {
    case KeyType::ec256:
      return "ES256";
    case KeyType::ec384:
      return "ES384";
    default:
      return "RS256";
  }
}

}  // namespace acme_agent
