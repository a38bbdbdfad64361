#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/private_key.hpp>

namespace acme_agent::test {

/// A small certificate authority: a root and one intermediate, valid from the year 2000 to the end of 9999, so that
/// tests can play at any time. Its chains have two certificates, as a public CA sends them: leaf and intermediate.
class TestCa {
 public:
  explicit TestCa(KeyType type = KeyType::ec256);

  /// A chain whose leaf carries the public key of `key`. The names are not checked for sense.
  CertificateChain issue(const PrivateKey& key, const std::vector<Identifier>& identifiers, Validity validity) const;

  /// The same for the names and the public key of a request in DER. Throws Error (retry) if it is none, if its
  /// signature is not its key's, or if it asks for no name.
  CertificateChain issue_for_csr(std::string_view der, Validity validity) const;

  /// What a client trusts.
  std::string root_pem() const { return root_.pem(); }
  const Certificate& root() const { return root_; }
  const Certificate& intermediate() const { return intermediate_; }
  const PrivateKey& intermediate_key() const { return intermediate_key_; }

 private:
  PrivateKey root_key_;
  PrivateKey intermediate_key_;
  Certificate root_;
  Certificate intermediate_;
};

}  // namespace acme_agent::test
