#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/broker/client_files.hpp>
#include <acme_agent/crypto/tls_peer.hpp>

namespace acme_agent {

/// What one address of an endpoint shows to one kind of client.
struct Look {
  enum class State {
    refused,      ///< Nobody listens.
    unreachable,  ///< No connection: no route, or no answer in time.
    silent,       ///< Connected, but the handshake got no answer in time.
    no_tls,       ///< Something answers that is not TLS, or a handshake that fails before a certificate is shown.
    shown,        ///< `peer.chain` is what it serves.
  };

  std::string address;  ///< Numeric; the host as written if it has none.
  TlsClient client = TlsClient::standard;
  State state = State::refused;
  TlsPeer peer;
  std::string detail;  ///< In words, for anything but shown.
};

/// Looks at every address of the endpoint with new handshakes. A client of kind rsa_tls12 looks too where the standard
/// one was shown a certificate. A host that does not resolve is one Look that is refused. `timeout` is for each
/// connection and for each handshake. Throws Stopped.
std::vector<Look> look_at(const Endpoint& endpoint, const std::string& server_name, Duration timeout,
                          const std::stop_token& stop);

/// The same with a client of this kind alone.
std::vector<Look> look_as(TlsClient client, const Endpoint& endpoint, const std::string& server_name, Duration timeout,
                          const std::stop_token& stop);

/// Opens a WebSocket at every address of the endpoint: whether one of them does that. Mosquitto 2.0 minds a reload at
/// such a listener only once that has happened. Throws Stopped.
bool opens_websocket(const Endpoint& endpoint, const std::string& server_name, Duration timeout,
                     const std::stop_token& stop);

/// What keeps the broker from telling devices by their certificates, in a sentence: at an address of these looks that
/// asks for one, a good device is refused or a revoked one is let in. Nothing if there is no such address. Throws
/// Stopped.
std::optional<std::string> why_clients_are_mistaken(const Endpoint& endpoint, const std::vector<Look>& looks,
                                                    const ClientProof& proof, const std::string& server_name,
                                                    Duration timeout, const std::stop_token& stop);

/// The verdict of `interface.md`, Deployment 3, on the looks at one endpoint.
struct Verdict {
  bool ok = false;         ///< At least one address accepts, and each that does serves leaf and whole chain.
  bool listening = false;  ///< At least one address accepts connections.
  bool shown = false;      ///< At least one address shows some certificate.
  std::string detail;      ///< What is wrong, one clause naming address and what is served; empty if ok.
};
Verdict judge(const std::vector<Look>& looks, const CertificateChain& expected);

}  // namespace acme_agent
