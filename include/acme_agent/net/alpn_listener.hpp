#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/base/log.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/net/published_answer.hpp>

namespace acme_agent {

template <class Value>
class PendingAnswers;

/// Answers tls-alpn-01 (RFC 8737) with an embedded server that exists only while something is pending, as
/// Http01Listener does. Clients that offer any protocol but "acme-tls/1", or ask for a name that is not pending, are
/// refused before anything is computed. Each connection has one handshake, 10 s and 8 KiB, and costs no thread.
/// Safe from every thread.
class AlpnListener {
 public:
  /// `port_holder` names who holds a taken port, for the error message; empty text if unknown.
  AlpnListener(Endpoint address, std::function<std::string(std::uint16_t port)> port_holder, Log& log);
  /// On sockets that listen already and are non-blocking; they are the listener's from now on, and strangers are
  /// refused all the time. At least one.
  AlpnListener(const std::vector<int>& sockets, Log& log);
  ~AlpnListener();

  /// Shows the certificate to whoever asks for `server_name`; a finished handshake is a visit. Throws Error as
  /// Http01Listener::publish does.
  std::unique_ptr<PublishedAnswer> publish(const std::string& server_name, const CertifiedKey& certificate);

  /// Where it listens, as configured.
  std::string address() const;
  /// What is bound, also where the kernel was to choose (port 0); 0 while nothing is.
  std::uint16_t port() const;

 private:
  std::shared_ptr<PendingAnswers<CertifiedKey>> answers_;  ///< By server name.
};

}  // namespace acme_agent
