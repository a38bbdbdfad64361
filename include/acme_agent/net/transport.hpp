#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/base/error.hpp>

namespace acme_agent {

struct Request {
  enum class Method { get, head, post };

  Method method = Method::get;
  std::string url;
  std::string body;          ///< POST only.
  std::string content_type;  ///< POST only.
};

/// Header names are lower-case; a repeated header has several values.
struct Response {
  int status = 0;
  std::multimap<std::string, std::string, std::less<>> headers;
  std::string body;

  /// The first value of a header.
  std::optional<std::string> header(std::string_view name) const;
};

/// One HTTP exchange with an ACME server. One object is one client with its kept connections: for one thread at a time.
class Transport {
 public:
  virtual ~Transport() = default;

  /// Any HTTP status is a Response. Throws Error (retry; ask_operator where a certificate cannot be trusted or the URL
  /// is none) if there is no whole answer, and Stopped at once when `stop` is requested.
  virtual Response send(const Request& request, const std::stop_token& stop) = 0;
};

}  // namespace acme_agent
