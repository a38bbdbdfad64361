#pragma once

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/free.hpp>

namespace acme_agent {

/// For what OpenSSL frees by a macro.
struct FreeByOpenssl {
  void operator()(void* memory) const noexcept { OPENSSL_free(memory); }
};

using Bignum = std::unique_ptr<BIGNUM, Free<BN_free>>;
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
struct FreeExtensions {
  void operator()(STACK_OF(X509_EXTENSION) * extensions) const noexcept {
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  }
};
using X509Handle = std::unique_ptr<X509, Free<X509_free>>;

/// Empties OpenSSL's queue of this thread. The oldest entry in words: the cause, where the later ones are consequences.
std::string take_openssl_reason();

/// Throws Error (retry) with what OpenSSL says if `succeeded` is false; for what fails only when the machine is in
/// need.
void require(bool succeeded, std::string_view doing);

/// The content of an ASN.1 string.
std::string_view octets(const ASN1_STRING* text);

/// What was written to a memory BIO.
std::string_view contents(BIO* bio);

}  // namespace acme_agent
