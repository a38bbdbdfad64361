#include <acme_agent/crypto/tls_alpn.hpp>
#include <acme_agent/net/alpn_listener.hpp>

#include "pending_answers.hpp"

namespace acme_agent {
namespace {

class HandshakeConversation final : public Conversation {
 public:
  explicit HandshakeConversation(PendingAnswers<CertifiedKey>& answers)
      : answers_(answers), handshake_([&answers](const std::string& name) { return answers.find(name); }) {}

  Reply hear(std::string_view octets, bool /*end*/) override {
    std::string bytes = handshake_.hear(octets);
    return {std::move(bytes), handshake_.over(), [this] { answers_.count_visit(handshake_.shown()); }};
  }

 private:
  PendingAnswers<CertifiedKey>& answers_;
  TlsAlpnHandshake handshake_;
};

constexpr Purpose purpose = {"the TLS-ALPN-01 challenge", "--alpn-listen", "443",
                             "hand on connections with ALPN \"acme-tls/1\"", true};

Begin begin_handshakes(PendingAnswers<CertifiedKey>& answers) {
  return [&answers] { return std::make_unique<HandshakeConversation>(answers); };
}

}  // namespace

AlpnListener::AlpnListener(Endpoint address, std::function<std::string(std::uint16_t port)> port_holder, Log& log)
    : answers_(std::make_shared<PendingAnswers<CertifiedKey>>(
          ListeningPlace{std::move(address), std::move(port_holder), purpose}, log, begin_handshakes)) {}

AlpnListener::AlpnListener(const std::vector<int>& sockets, Log& log)
    : answers_(std::make_shared<PendingAnswers<CertifiedKey>>(std::vector<Socket>(sockets.begin(), sockets.end()),
                                                              purpose, log, begin_handshakes)) {}

AlpnListener::~AlpnListener() = default;

std::unique_ptr<PublishedAnswer> AlpnListener::publish(const std::string& server_name,
                                                       const CertifiedKey& certificate) {
  return PendingAnswers<CertifiedKey>::publish(answers_, server_name, certificate);
}

std::string AlpnListener::address() const {
  return answers_->address();
}

std::uint16_t AlpnListener::port() const {
  return answers_->port();
}

}  // namespace acme_agent
