#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {

/// The certificates of a PEM file as roots of trust. OpenSSL gets only those to parse that a server's chain may lead
/// to: Debian's 140 would take longer than the rest of an issuance.
class RootBundle {
 public:
  /// `what` it is, for messages: "the CA bundle". Throws Error (ask_operator) if the file cannot be read or holds no
  /// certificate in PEM.
  explicit RootBundle(const std::filesystem::path& path, const std::string& what = "the CA bundle");
  /// The same of a text in PEM that is known to be good.
  static RootBundle of_text(std::string pem);

  /// Makes an SSL_CTX of OpenSSL trust these certificates and no others; it points to this object.
  void install_in(void* ssl_context) const;

  /// Why a TLS client that trusts these certificates, be they roots or not, would not take `chain` at `now`, in the
  /// words of OpenSSL; nothing: it would. Names are not looked at.
  std::optional<std::string> why_refused(const CertificateChain& chain, TimePoint now) const;

  const std::string& pem() const { return pem_; }

  bool operator==(const RootBundle&) const = default;

 private:
  RootBundle() = default;

  std::string pem_;
};

}  // namespace acme_agent
