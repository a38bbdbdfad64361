#pragma once

#include <acme_agent/base/secret.hpp>
#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {

/// A key and its chain as programs in Java want them (RFC 7292), enciphered with a password; another text each time.
Secret to_pkcs12(const CertifiedKey& pair, const Secret& password);

}  // namespace acme_agent
