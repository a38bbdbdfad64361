#include <algorithm>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/probe.hpp>
#include <acme_agent/sys/tcp.hpp>

namespace acme_agent {
namespace {

Look look_once(const std::string& address, std::uint16_t port, TlsClient client, const std::string& server_name,
               Duration timeout, const std::stop_token& stop) {
  Look look;
  look.address = address;
  look.client = client;
  const Connection connection = connect_tcp(address, port, timeout, stop);
  if (!connection.socket.valid()) {
    look.state = connection.refused ? Look::State::refused : Look::State::unreachable;
    look.detail = connection.failure;
    return look;
  }
  look.peer = look_at_tls_server(connection.socket.get(), server_name, client, timeout, stop);
  if (look.peer.chain) {
    look.state = Look::State::shown;
  } else {
    look.state = look.peer.timed_out ? Look::State::silent : Look::State::no_tls;
    look.detail = look.peer.failure;
  }
  return look;
}

std::string describe_other(const Certificate& leaf) {
  if (leaf.placeholder()) return "a placeholder";
  return "another certificate (issuer " + printable(leaf.issuer(), 80) + ", serial " + printable(leaf.serial(), 60) +
         ", until " + format_rfc3339(leaf.validity().not_after) + ")";
}

/// What is wrong with what is served; empty if it begins with all of `expected`. A broker may add the root, or what
/// stands in its own list of authorities: no client minds.
std::string compare(const CertificateChain& served, const CertificateChain& expected) {
  const std::vector<Certificate>& shown = served.certificates();
  const std::vector<Certificate>& wanted = expected.certificates();
  if (served.leaf() != expected.leaf()) return describe_other(served.leaf());
  if (shown.size() >= wanted.size() && std::equal(wanted.begin(), wanted.end(), shown.begin())) return {};
  if (shown.size() == 1) return "the leaf without its chain: the broker's certfile must be fullchain.pem";
  return "the leaf with another chain: the broker's certfile must be fullchain.pem";
}

/// What is wrong with one look; empty if nothing is.
std::string fault_of(const Look& look, const CertificateChain& expected) {
  if (look.state == Look::State::shown) {
    const std::string fault = compare(*look.peer.chain, expected);
    if (fault.empty()) return {};
    const std::string to_whom = look.client == TlsClient::rsa_tls12 ? " to clients of TLS 1.2 with RSA" : "";
    return look.address + " serves" + to_whom + " " + fault;
  }
  // A listener may speak TLS 1.3 only, and one with an EC key has nothing to show to a client of RSA.
  if (look.client == TlsClient::rsa_tls12) return {};
  return look.address + " shows no certificate: " + look.detail;
}

}  // namespace

std::vector<Look> look_as(TlsClient client, const Endpoint& endpoint, const std::string& server_name, Duration timeout,
                          const std::stop_token& stop) {
  std::vector<std::string> addresses;
  try {
    addresses = resolve(endpoint.host, timeout, stop);
  } catch (const Error& error) {
    Look nowhere;
    nowhere.address = endpoint.host;
    nowhere.client = client;
    nowhere.detail = error.message();
    return {nowhere};
  }
  std::vector<Look> looks;
  for (const std::string& address : addresses)
    looks.push_back(look_once(address, endpoint.port, client, server_name, timeout, stop));
  return looks;
}

std::vector<Look> look_at(const Endpoint& endpoint, const std::string& server_name, Duration timeout,
                          const std::stop_token& stop) {
  std::vector<Look> looks;
  for (Look& look : look_as(TlsClient::standard, endpoint, server_name, timeout, stop)) {
    const std::string address = look.address;
    const bool shown = look.state == Look::State::shown;
    looks.push_back(std::move(look));
    if (shown) looks.push_back(look_once(address, endpoint.port, TlsClient::rsa_tls12, server_name, timeout, stop));
  }
  return looks;
}

bool opens_websocket(const Endpoint& endpoint, const std::string& server_name, Duration timeout,
                     const std::stop_token& stop) {
  bool any = false;
  try {
    for (const std::string& address : resolve(endpoint.host, timeout, stop)) {
      const Connection connection = connect_tcp(address, endpoint.port, timeout, stop);
      any |= connection.socket.valid() && opens_websocket(connection.socket.get(), server_name, timeout, stop);
    }
  } catch (const Error&) {  // the look says the same
  }
  return any;
}

std::optional<std::string> why_clients_are_mistaken(const Endpoint& endpoint, const std::vector<Look>& looks,
                                                    const ClientProof& proof, const std::string& server_name,
                                                    Duration timeout, const std::stop_token& stop) {
  for (const Look& look : looks) {
    if (look.client != TlsClient::standard || look.state != Look::State::shown || !look.peer.asks_for_certificate)
      continue;
    const std::string where = endpoint.text() + " (" + look.address + ")";
    const Connection for_good = connect_tcp(look.address, endpoint.port, timeout, stop);
    if (!for_good.socket.valid()) return where + ": " + for_good.failure;
    if (const std::optional<std::string> refusal =
            why_client_is_refused(for_good.socket.get(), server_name, proof.good, timeout, stop))
      return where + " refuses a device with a good certificate: " + *refusal +
             "; is its cafile the devices-ca.pem beside the certificate, and was the broker restarted since?";
    const Connection for_revoked = connect_tcp(look.address, endpoint.port, timeout, stop);
    if (!for_revoked.socket.valid()) return where + ": " + for_revoked.failure;
    if (!why_client_is_refused(for_revoked.socket.get(), server_name, proof.revoked, timeout, stop))
      return where +
             " lets in a device whose certificate is revoked: is its crlfile the devices.crl beside the certificate?";
  }
  return std::nullopt;
}

Verdict judge(const std::vector<Look>& looks, const CertificateChain& expected) {
  Verdict verdict;
  std::vector<std::string> faults;
  std::vector<std::string> absent;
  std::string faulty_address;
  for (const Look& look : looks) {
    if (look.state == Look::State::refused || look.state == Look::State::unreachable) {
      if (look.client == TlsClient::standard) absent.push_back(look.address + ": " + look.detail);
      continue;
    }
    verdict.listening = true;
    if (look.state == Look::State::shown) verdict.shown = true;
    const std::string fault = fault_of(look, expected);
    if (fault.empty() || look.address == faulty_address) continue;
    faulty_address = look.address;
    faults.push_back(fault);
  }
  verdict.ok = verdict.listening && faults.empty();
  if (!verdict.ok) verdict.detail = verdict.listening ? join(faults) : "nobody answers (" + join(absent) + ")";
  return verdict;
}

}  // namespace acme_agent
