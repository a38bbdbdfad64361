#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/net/transport.hpp>

namespace acme_agent {

/// HTTPS by libcurl: certificates verified, connections kept, no redirects, no other scheme unless it is allowed,
/// bodies of 1 MiB and headers of 64 KiB at most, 10 s to connect and 30 s for a whole exchange, proxies from the
/// environment.
class CurlTransport final : public Transport {
 public:
  struct Options {
    std::string user_agent;
    /// PEM file trusted instead of the system's store. Of either only the roots that a chain leads to are parsed, where
    /// that is possible: /etc/ssl/certs with links by hash, a libcurl with OpenSSL, no proxy with TLS.
    std::optional<std::filesystem::path> ca_bundle = std::nullopt;
    /// What the operator is to do about a certificate that is not trusted.
    std::string trust_advice = "give its root with --ca-bundle";
    Duration connect_timeout = std::chrono::seconds(10);
    Duration timeout = std::chrono::seconds(30);                      ///< For a whole exchange.
    bool plain_http = false;                                          ///< http:// as well.
    bool direct = false;                                              ///< Whatever proxies the environment names.
    std::optional<std::filesystem::path> unix_socket = std::nullopt;  ///< Where the URL is asked, whatever its host is.
  };

  /// Nothing is opened before the first exchange.
  explicit CurlTransport(Options options);
  ~CurlTransport() override;

  Response send(const Request& request, const std::stop_token& stop) override;

 private:
  struct Handles;

  Options options_;
  std::unique_ptr<Handles> handles_;
};

/// What the operator should know about the libcurl in use; nothing if it is a sound one.
std::optional<std::string> curl_warning();
/// The same for the libcurl of another version.
std::optional<std::string> curl_warning(std::string_view version);

}  // namespace acme_agent
