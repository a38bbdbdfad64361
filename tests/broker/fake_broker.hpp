#pragma once

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <acme_agent/base/endpoint.hpp>

namespace acme_agent::test {

/// A TLS listener on 127.0.0.1 that reads its files as Mosquitto does: into a context that lives on, the certificate
/// before the key, and with no way back when one of them is wrong.
class FakeBroker {
 public:
  enum class Mood { serving, silent, plain };

  explicit FakeBroker(std::filesystem::path folder)
      : folder_(std::move(folder)), context_(SSL_CTX_new(TLS_method()), SSL_CTX_free) {
    ::signal(SIGPIPE, SIG_IGN);
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("no listener on 127.0.0.1");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeBroker() { stop(); }

  Endpoint endpoint() const { return {"127.0.0.1", port_}; }

  /// What SIGHUP does; what a start does, too.
  void load() {
    const std::lock_guard lock(mutex_);
    const std::string chain = folder_ / "fullchain.pem";
    const std::string key = folder_ / "privkey.pem";
    if (SSL_CTX_use_certificate_chain_file(context_.get(), chain.c_str()) == 1) {
      SSL_CTX_use_PrivateKey_file(context_.get(), key.c_str(), SSL_FILETYPE_PEM);
    }
    if (asks_) ask_with(folder_ / "devices-ca.pem", folder_ / "devices.crl");
  }

  /// From the next load on: a listener with require_certificate, and cafile and crlfile beside the pair.
  void ask_for_certificates() { asks_ = true; }

  /// A new process: nothing of what was served before is left.
  void restart() {
    {
      const std::lock_guard lock(mutex_);
      context_.reset(SSL_CTX_new(TLS_method()));
    }
    load();
  }

  /// Nobody listens any more.
  void stop() {
    if (!thread_.joinable()) return;
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    for (const int connection : held_) ::close(connection);
    held_.clear();
  }

  void change_mood(Mood mood) { mood_ = mood; }
  /// After this many more connections the files are read by themselves.
  void load_after(int connections) { load_at_ = connections_ + connections; }
  int connections() const { return connections_; }
  /// What the last client called us.
  std::string server_name() {
    const std::lock_guard lock(mutex_);
    return server_name_;
  }

 private:
  /// Without a list nobody is revoked, as Mosquitto 2.0 has it.
  void ask_with(const std::string& cafile, const std::string& crlfile) {
    X509_STORE* const store = X509_STORE_new();
    X509_STORE_load_file(store, cafile.c_str());
    if (X509_load_crl_file(X509_STORE_add_lookup(store, X509_LOOKUP_file()), crlfile.c_str(), X509_FILETYPE_PEM) > 0)
      X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    SSL_CTX_set1_verify_cert_store(context_.get(), store);
    X509_STORE_free(store);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }

  void serve() {
    for (;;) {
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) return;
      if (++connections_ == load_at_) load();
      if (mood_ == Mood::silent) {
        held_.push_back(connection);
        continue;
      }
      if (mood_ == Mood::serving) shake_hands(connection);
      ::close(connection);
    }
  }

  void shake_hands(int connection) {
    const timeval patience{2, 0};
    ::setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const std::lock_guard lock(mutex_);
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context_.get()), SSL_free);
    SSL_set_fd(ssl.get(), connection);
    if (SSL_accept(ssl.get()) == 1) SSL_shutdown(ssl.get());
    const char* const name = SSL_get_servername(ssl.get(), TLSEXT_NAMETYPE_host_name);
    server_name_ = name == nullptr ? "" : name;
  }

  const std::filesystem::path folder_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::mutex mutex_;
  std::string server_name_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  bool asks_ = false;
  std::atomic<Mood> mood_ = Mood::serving;
  std::atomic<int> connections_ = 0;
  std::atomic<int> load_at_ = -1;
  std::vector<int> held_;
  std::thread thread_;
};

}  // namespace acme_agent::test
