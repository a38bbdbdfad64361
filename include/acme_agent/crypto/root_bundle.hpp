#pragma once

#include <filesystem>
#include <string>

namespace acme_agent {

/// The certificates of a PEM file as roots of trust. OpenSSL gets only those to parse that a server's chain may lead
/// to: Debian's 140 would take longer than the rest of an issuance.
class RootBundle {
 public:
  /// Throws Error (ask_operator) if the file cannot be read or holds no certificate in PEM.
  explicit RootBundle(const std::filesystem::path& path);

  /// Makes an SSL_CTX of OpenSSL trust these certificates and no others; it points to this object.
  void install_in(void* ssl_context) const;

 private:
  std::string pem_;
};

}  // namespace acme_agent
