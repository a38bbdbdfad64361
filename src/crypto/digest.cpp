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

}  // namespace acme_agent
