#include <openssl/evp.h>
#include <openssl/sha.h>

#include <acme_agent/crypto/digest.hpp>

#include "openssl.hpp"

namespace acme_agent {

std::string sha256(std::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  require(EVP_Q_digest(nullptr, "SHA256", nullptr, bytes.data(), bytes.size(),
                       reinterpret_cast<unsigned char*>(digest.data()), nullptr) == 1,
          "to compute a SHA-256 digest");
  return digest;
}

std::string hmac(Hash hash, const Secret& key, std::string_view bytes) {
  const char* name = hash == Hash::sha256 ? "SHA256" : hash == Hash::sha384 ? "SHA384" : "SHA512";
  std::string code(EVP_MAX_MD_SIZE, '\0');
  std::size_t size = 0;
  require(EVP_Q_mac(nullptr, "HMAC", nullptr, name, nullptr, key.reveal().data(), key.reveal().size(),
                    reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                    reinterpret_cast<unsigned char*>(code.data()), code.size(), &size) != nullptr,
          "to compute an HMAC");
  code.resize(size);
  return code;
}

}  // namespace acme_agent
