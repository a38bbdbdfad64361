#include <httplib.h>

#include <optional>

#include <acme_agent/net/http01_listener.hpp>

#include "pending_answers.hpp"

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

/// httplib reads and writes HTTP here; connections are the ConnectionLoop's. (httplib's own take a thread each, have no
/// bound on a line or a connection, and share the port.)
class Http final : private httplib::Server {
 public:
  /// `find` gives the body for a request target, nothing if there is none.
  explicit Http(std::function<std::optional<std::string>(const std::string& target)> find) {
    set_pre_routing_handler([find = std::move(find)](const httplib::Request& request, httplib::Response& response) {
      const bool fetch = request.method == "GET" || request.method == "HEAD";
      const std::optional<std::string> body = fetch ? find(request.target) : std::nullopt;
      response.status = body ? 200 : 404;
      response.body = body.value_or("");
      return HandlerResponse::Handled;
    });
    // Also where the request was malformed: nothing that httplib would say, or repeat from the request, goes out.
    set_post_routing_handler([](const httplib::Request&, httplib::Response& response) {
      const bool found = response.status == 200;
      if (!found) {
        response.status = 404;
        response.body = "not found\n";
      }
      response.headers = {{"Connection", "close"},
                          {"Content-Length", std::to_string(response.body.size())},
                          // RFC 8555 8.3
                          {"Content-Type", found ? "application/octet-stream" : "text/plain"}};
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
    process_request(exchange, true, closed, [&response](httplib::Request& parsed) {
      if (parsed.method == "GET") response.fetched = parsed.target;
      // Every header would only change the form of the answer: ranges, compression, expectations.
      parsed.headers.clear();
      parsed.ranges.clear();
    });
    response.bytes = exchange.take_response();
    return response;
  }
};

class RequestConversation final : public Conversation {
 public:
  RequestConversation(Http& http, PendingAnswers<std::string>& answers) : http_(http), answers_(answers) {}

  Reply hear(std::string_view octets, bool end) override {
    request_.append(octets);
    if (!end && request_.find("\r\n\r\n") == std::string::npos) return {};
    Http::Response response = http_.respond(request_);
    if (response.bytes.empty()) return {"", true, {}};
    return {std::move(response.bytes), true,
            [this, target = std::move(response.fetched)] { answers_.count_visit(target); }};
  }

 private:
  Http& http_;
  PendingAnswers<std::string>& answers_;
  std::string request_;
};

constexpr Purpose purpose = {"HTTP-01", "--http-listen", "80", "forward /.well-known/acme-challenge/", false};

Begin begin_requests(PendingAnswers<std::string>& answers) {
  const auto http = std::make_shared<Http>([&answers](const std::string& target) { return answers.find(target); });
  return [http, &answers] { return std::make_unique<RequestConversation>(*http, answers); };
}

}  // namespace

Http01Listener::Http01Listener(Endpoint address, std::function<std::string(std::uint16_t port)> port_holder, Log& log)
    : answers_(std::make_shared<PendingAnswers<std::string>>(
          ListeningPlace{std::move(address), std::move(port_holder), purpose}, log, begin_requests)) {}

Http01Listener::Http01Listener(const std::vector<int>& sockets, Log& log)
    : answers_(std::make_shared<PendingAnswers<std::string>>(std::vector<Socket>(sockets.begin(), sockets.end()),
                                                             purpose, log, begin_requests)) {}

Http01Listener::~Http01Listener() = default;

std::unique_ptr<PublishedAnswer> Http01Listener::publish(const std::string& token,
                                                         const std::string& key_authorization) {
  // RFC 8555 8.3
  return PendingAnswers<std::string>::publish(answers_, "/.well-known/acme-challenge/" + token, key_authorization);
}

std::string Http01Listener::address() const {
  return answers_->address();
}

std::uint16_t Http01Listener::port() const {
  return answers_->port();
}

}  // namespace acme_agent
