#pragma once

#include <string>

#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {

/// Another folder that gets a certificate, in the form that its reader wants: `--deploy`.
struct FurtherFolder {
  enum class Format {
    pem,       ///< The five files of `interface.md`.
    combined,  ///< combined.pem: key and chain.
    pkcs12,    ///< keystore.p12 (RFC 7292), and cert.pem to tell it by.
  };

  std::string folder;
  Ownership ownership;
  Format format = Format::pem;
  std::string password_file;  ///< Of a keystore; empty: it is "changeit", as Java has it.

  auto operator<=>(const FurtherFolder&) const = default;

  /// Whether the pair lies there as put() would write it.
  bool holds(const CertifiedKey& pair) const;
  /// Whether none of the files lies there, whoever's.
  bool empty() const;
  /// Writes it there by one rename. Throws Error.
  void put(const CertifiedKey& pair) const;
  /// Puts back what lay there before put().
  void put_back() const;
  /// Another text whenever the files there are other ones.
  std::string stamp() const;
};

}  // namespace acme_agent
