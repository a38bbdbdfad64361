#include "http.hpp"

#include <httplib.h>
#include <strings.h>

#include <utility>

namespace acme_agent {
namespace {

/// A request that has arrived and the room for its response, as httplib wants to see a connection.
class Exchange final : public httplib::Stream {
 public:
  explicit Exchange(std::string_view request) : request_(request) {}

  std::string take_response() { return std::move(response_); }

  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  ssize_t read(char* to, size_t size) override {
    const std::size_t count = request_.copy(to, size);
    request_.remove_prefix(count);
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* from, size_t size) override {
    response_.append(from, size);
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return INVALID_SOCKET; }

 private:
  std::string_view request_;
  std::string response_;
};

/// For httplib 0.11 a long Range takes 5 MiB of stack, and with an unlimited one (2 MiB for a thread) that is too much.
/// No answer of ours has parts.
void hide_ranges(std::string& request) {
  for (std::size_t end = request.find('\n'); end != std::string::npos; end = request.find('\n', end + 1))
    if (::strncasecmp(request.c_str() + end + 1, "range:", 6) == 0) request[end + 1] = '-';
}

}  // namespace

/// httplib reads and writes HTTP here; connections are the ConnectionLoop's. (httplib's own take a thread each, have no
/// bound on a line or a connection, and share the port.)
class Http::Server final : private httplib::Server {
 public:
  Server(std::function<HttpAnswer(const HttpRequest& request)> answer, HttpAnswer to_nonsense)
      : to_nonsense_(std::move(to_nonsense)) {
    set_pre_routing_handler([this, answer = std::move(answer)](const httplib::Request& request, httplib::Response&) {
      answer_ = answer({request.method, request.target, host_});
      return HandlerResponse::Handled;
    });
    // Also where the request was malformed: nothing that httplib would say, or repeat from the request, goes out.
    set_post_routing_handler([this](const httplib::Request&, httplib::Response& response) {
      response.status = answer_.status;
      response.body = std::move(answer_.body);
      response.headers = {{"Connection", "close"}, {"Content-Length", std::to_string(response.body.size())}};
      response.headers.insert(answer_.headers.begin(), answer_.headers.end());
    });
  }

  struct Response {
    std::string bytes;
    std::string fetched;  ///< The target, if it was a GET.
  };

  Response respond(std::string_view request) {
    Exchange exchange(request);
    Response response;
    bool closed = false;
    answer_ = to_nonsense_;
    process_request(exchange, true, closed, [&](httplib::Request& parsed) {
      if (parsed.method == "GET") response.fetched = parsed.target;
      host_ = parsed.get_header_value("Host");
      // Every header would only change the form of the answer: ranges, compression, expectations.
      parsed.headers.clear();
      parsed.ranges.clear();
    });
    response.bytes = exchange.take_response();
    return response;
  }

 private:
  const HttpAnswer to_nonsense_;
  HttpAnswer answer_;  // to the request in hand
  std::string host_;   // that it is for
};

class Http::OneRequest final : public Conversation {
 public:
  OneRequest(Server& server, std::function<void(const std::string& target)> fetched)
      : server_(server), fetched_(std::move(fetched)) {}

  Reply hear(std::string_view octets, bool end) override {
    request_.append(octets);
    if (!end && request_.find("\r\n\r\n") == std::string::npos) return {};
    hide_ranges(request_);
    Server::Response response = server_.respond(request_);
    if (response.bytes.empty()) return {"", true, {}};
    return {std::move(response.bytes), true, [this, target = std::move(response.fetched)] { fetched_(target); }};
  }

 private:
  Server& server_;
  const std::function<void(const std::string& target)> fetched_;
  std::string request_;
};

Http::Http(std::function<HttpAnswer(const HttpRequest& request)> answer, HttpAnswer to_nonsense)
    : server_(std::make_unique<Server>(std::move(answer), std::move(to_nonsense))) {}

Http::~Http() = default;

std::unique_ptr<Conversation> Http::begin(std::function<void(const std::string& target)> fetched) {
  return std::make_unique<OneRequest>(*server_, std::move(fetched));
}

}  // namespace acme_agent
