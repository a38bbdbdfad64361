#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/base/identifier.hpp>
#include <acme_agent/crypto/certificate.hpp>

#include "openssl.hpp"

namespace acme_agent {

inline constexpr std::size_t max_common_name = 64;  // ub-common-name, RFC 5280 A.1

using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;

/// Not by way of time_t, which ends in 2038 on 32-bit machines; UTCTime before 2050 and GeneralizedTime from then on
/// (RFC 5280 4.1.2.5).
void set_time(ASN1_TIME* time, TimePoint value);
std::optional<TimePoint> time_point(const ASN1_TIME* time);

void add_entry(X509_NAME* name, int nid, std::string_view text);

/// subjectAltName with all of them.
Extension alternative_names(const std::vector<Identifier>& identifiers, bool critical = false);

/// `value` as in OpenSSL's configuration files.
void add_extension(X509* certificate, int nid, const char* value);
void add_extension(X509* certificate, Extension extension);

/// Of version 3, with a random serial number of 128 bits; without names.
X509Handle draft_certificate(EVP_PKEY* public_key, const Validity& validity);

/// The draft, signed with SHA-256 by whoever is its issuer by now.
Certificate sign(X509* certificate, const PrivateKey& key);

}  // namespace acme_agent
