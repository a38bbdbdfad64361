#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <cstdint>

#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/tls_alpn.hpp>

#include "openssl.hpp"

namespace acme_agent {
namespace {

using SslContext = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Free<SSL_free>>;

constexpr std::string_view protocol = "acme-tls/1";
/// The extension of a client that speaks it and nothing else (RFC 7301 3.1).
constexpr std::string_view only_protocol(
    "\0\x0b\x0a"
    "acme-tls/1",
    13);

std::string reverse_name(const std::string& address) {
  std::array<unsigned char, 16> octets{};
  std::string name;
  if (::inet_pton(AF_INET, address.c_str(), octets.data()) == 1) {
    for (std::size_t i = 4; i-- > 0;) name += std::to_string(octets[i]) + ".";
    return name + "in-addr.arpa";
  }
  if (::inet_pton(AF_INET6, address.c_str(), octets.data()) != 1)
    throw Error(Remedy::ask_operator, "'" + printable(address) + "' is not an IP address");
  const std::string digits = to_hex({reinterpret_cast<const char*>(octets.data()), octets.size()});
  for (std::size_t i = digits.size(); i-- > 0;) name += std::string(1, digits[i]) + ".";
  return name + "ip6.arpa";
}

/// As the names are kept that certificates are looked up by.
std::string asked_for(SSL* ssl) {
  const char* asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  std::string name = asked == nullptr ? "" : asked;
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (name.ends_with('.')) name.pop_back();
  return name;
}

}  // namespace

struct TlsAlpnHandshake::State {
  explicit State(Find find_certificate) : find(std::move(find_certificate)), ssl(SSL_new(context())) {
    Bio from_client(BIO_new(BIO_s_mem()));
    Bio to_client(BIO_new(BIO_s_mem()));
    require(ssl != nullptr && from_client != nullptr && to_client != nullptr && SSL_set_app_data(ssl.get(), this) == 1,
            "to prepare a handshake");
    in = from_client.get();
    out = to_client.get();
    SSL_set_bio(ssl.get(), from_client.release(), to_client.release());
    SSL_set_accept_state(ssl.get());
  }

  static SSL_CTX* context() {
    static const SslContext made = make_context();
    return made.get();
  }

  static SslContext make_context() {
    SslContext made(SSL_CTX_new(TLS_server_method()));
    // RFC 8737 3: TLS 1.2 or higher.
    require(made != nullptr && SSL_CTX_set_min_proto_version(made.get(), TLS1_2_VERSION) == 1 &&
                SSL_CTX_set_num_tickets(made.get(), 0) == 1,
            "to prepare a handshake");
    SSL_CTX_set_session_cache_mode(made.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(made.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_client_hello_cb(made.get(), refuse_other_protocols, nullptr);
    SSL_CTX_callback_ctrl(made.get(), SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                          reinterpret_cast<void (*)()>(choose_certificate));
    SSL_CTX_set_alpn_select_cb(made.get(), select_protocol, nullptr);
    return made;
  }

  static int refuse_other_protocols(SSL* ssl, int* alert, void*) {
    const unsigned char* extension = nullptr;
    std::size_t size = 0;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &extension, &size) == 1 &&
        std::string_view(reinterpret_cast<const char*>(extension), size) == only_protocol)
      return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
  }

  static int choose_certificate(SSL* ssl, int* alert, void*) noexcept {
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    try {
      State& state = *static_cast<State*>(SSL_get_app_data(ssl));
      state.server_name = asked_for(ssl);
      const std::optional<CertifiedKey> found = state.find(state.server_name);
      const bool used = found && SSL_use_certificate(ssl, found->chain.leaf().handle()) == 1 &&
                        SSL_use_PrivateKey(ssl, found->key.handle()) == 1;
      return used ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
    } catch (...) {
      return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
  }

  static int select_protocol(SSL*, const unsigned char** selected, unsigned char* size, const unsigned char*, unsigned,
                             void*) {
    *selected = reinterpret_cast<const unsigned char*>(protocol.data());
    *size = static_cast<unsigned char>(protocol.size());
    return SSL_TLSEXT_ERR_OK;
  }

  const Find find;
  const Ssl ssl;
  BIO* in = nullptr;   ///< Of `ssl`.
  BIO* out = nullptr;  ///< Of `ssl`.
  std::string server_name;
  bool finished = false;
  bool failed = false;
};

TlsAlpnHandshake::TlsAlpnHandshake(Find find) : state_(std::make_unique<State>(std::move(find))) {}

TlsAlpnHandshake::~TlsAlpnHandshake() = default;

std::string TlsAlpnHandshake::hear(std::string_view octets) {
  if (over()) return {};
  SSL* const ssl = state_->ssl.get();
  require(BIO_write(state_->in, octets.data(), static_cast<int>(octets.size())) == static_cast<int>(octets.size()),
          "to keep what a client sent");
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl);
  state_->finished = result == 1;
  state_->failed = result != 1 && SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ;
  if (state_->finished) SSL_shutdown(ssl);
  ERR_clear_error();
  const std::string answer(contents(state_->out));
  BIO_reset(state_->out);
  return answer;
}

bool TlsAlpnHandshake::over() const {
  return state_->finished || state_->failed;
}

std::string TlsAlpnHandshake::shown() const {
  return state_->finished ? state_->server_name : "";
}

std::string tls_alpn_server_name(const Identifier& identifier) {
  return identifier.type == Identifier::Type::ip ? reverse_name(identifier.value) : identifier.value;
}

}  // namespace acme_agent
