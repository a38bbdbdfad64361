#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {

/// How a client introduces itself to the server that is looked at.
enum class TlsClient {
  standard,   ///< What OpenSSL offers by default.
  rsa_tls12,  ///< TLS 1.2 with RSA certificates only, as the small devices do: sees the RSA pair of a broker with two.
  tasmota,  ///< All that Tasmota has over MQTT: one suite (C02F), P-256, RSA with SHA-256, fragments of 1024 (RFC 6066
            ///< 4).
};

/// What a server showed in one handshake.
struct TlsPeer {
  std::optional<CertificateChain> chain;  ///< As sent; nothing if the handshake failed before a certificate came.
  bool completed = false;  ///< The handshake was finished; a server that wants a client certificate may refuse.
  std::string failure;     ///< Why it was not, in words; empty if it was.
  bool timed_out = false;  ///< The failure is that the time was up.
  bool asks_for_certificate = false;  ///< The server wants to see one of the client's.
};

/// Shakes hands over the connected, non-blocking socket `fd` (not closed), sending `server_name` as SNI unless it is
/// empty or an address, without resumption and without verifying: the caller compares. A server that speaks no TLS or
/// says nothing for `timeout` is a TlsPeer with a failure, not an exception. Throws Stopped within 100 ms of a stop.
TlsPeer look_at_tls_server(int fd, const std::string& server_name, TlsClient client, Duration timeout,
                           const std::stop_token& stop);

/// Whether the server lets in a client with this certificate and key: why not, in words, or nothing. Only the leaf is
/// sent, as small devices do. In TLS 1.3 the server judges it after the client's handshake is over (RFC 8446 4.4.2):
/// its session ticket, any other word, or silence for `timeout` is a yes. Throws Error (retry) if the handshake takes
/// longer. As look_at_tls_server() for all else.
std::optional<std::string> why_client_is_refused(int fd, const std::string& server_name, const CertifiedKey& client,
                                                 Duration timeout, const std::stop_token& stop);

/// Opens a WebSocket for MQTT (RFC 6455 4.1) over the socket `fd` as look_at_tls_server() has it, and leaves: whether
/// the server has opened it, too.
bool opens_websocket(int fd, const std::string& server_name, Duration timeout, const std::stop_token& stop);

}  // namespace acme_agent
