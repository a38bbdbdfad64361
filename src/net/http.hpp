#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "connection_loop.hpp"

namespace acme_agent {

struct HttpRequest {
  std::string method;
  std::string target;
  std::string host;  ///< As the header says; empty: there is none.
};

struct HttpAnswer {
  int status = 404;
  std::multimap<std::string, std::string> headers;
  std::string body;
};

/// HTTP on the connections of a ConnectionLoop, one request on each. Nothing of a request is ever echoed.
class Http {
 public:
  /// `answer` is called in the loop's thread; `to_nonsense` is for what is no HTTP.
  Http(std::function<HttpAnswer(const HttpRequest& request)> answer, HttpAnswer to_nonsense);
  ~Http();

  /// `fetched` hears of the target when the response to a GET has been sent. Must not outlive this.
  std::unique_ptr<Conversation> begin(std::function<void(const std::string& target)> fetched);

 private:
  class Server;
  class OneRequest;

  const std::unique_ptr<Server> server_;
};

}  // namespace acme_agent
