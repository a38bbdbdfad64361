#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <acme_agent/base/endpoint.hpp>

namespace acme_agent {

/// What is shown at one path.
struct Page {
  int status = 200;
  std::string type;  ///< Of its content, as in "text/plain".
  std::string body;
  std::string policy = "default-src 'none'";  ///< What a browser may do with it (Content-Security-Policy).
};

/// Shows pages to whoever asks with GET or HEAD, and takes nothing. Each connection has one request, 10 s and 8 KiB,
/// and costs no thread; of more than sixteen the oldest has to go. Nothing runs while nobody asks.
class PageListener {
 public:
  /// Nothing: there is no such page.
  using Find = std::function<std::optional<Page>(const std::string& path)>;

  /// `find` is called in one thread. Throws Error naming place, cause and holder if it cannot listen there.
  /// On a loopback address only requests for an address or for localhost are answered, so that no web site can read it
  /// by a name of its own that leads there.
  PageListener(const SocketPlace& place, Find find, std::function<std::string(std::uint16_t port)> port_holder);
  ~PageListener();

  /// What is bound, also where the kernel was to choose (port 0); 0 for a socket in the file system.
  std::uint16_t port() const { return port_; }

 private:
  struct Serving;

  std::uint16_t port_ = 0;
  std::unique_ptr<Serving> serving_;
};

}  // namespace acme_agent
