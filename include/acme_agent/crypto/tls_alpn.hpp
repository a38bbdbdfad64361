#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/identifier.hpp>
#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {

/// What a server asks for by SNI to validate `identifier`: the name, or the reverse name of an address (RFC 8738 6).
std::string tls_alpn_server_name(const Identifier& identifier);

/// The answer to tls-alpn-01 (RFC 8737 3): a self-signed certificate with a key of its own.
CertifiedKey make_tls_alpn_certificate(const Identifier& identifier, std::string_view key_authorization, TimePoint now);

/// Our side of one handshake for tls-alpn-01, without the connection: shows the certificate of the server name that is
/// asked for to clients that speak nothing but "acme-tls/1", and refuses all others before anything is computed.
class TlsAlpnHandshake {
 public:
  /// Gives the certificate for a server name in lower case without a final dot, nothing if there is none.
  using Find = std::function<std::optional<CertifiedKey>(const std::string& server_name)>;

  explicit TlsAlpnHandshake(Find find);
  ~TlsAlpnHandshake();

  /// What is to be sent after `octets` came from the client.
  std::string hear(std::string_view octets);
  /// Nothing more is to come: it was finished, or has failed.
  bool over() const;
  /// The server name whose certificate the client has got, once it has finished the handshake; else empty.
  std::string shown() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace acme_agent
