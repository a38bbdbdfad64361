#include <httplib.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>

#include <acme_agent/base/error.hpp>
#include <acme_agent/net/http01_listener.hpp>

#include "listening.hpp"
#include "request_loop.hpp"

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

/// httplib reads and writes HTTP here; connections are the RequestLoop's. (httplib's own take a thread each, have no
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

}  // namespace

struct Http01Listener::State {
  struct Token {
    std::string key_authorization;
    unsigned visits = 0;
  };
  using Tokens = std::multimap<std::string, Token>;  // by request target; an order that is resumed repeats its tokens

  State(Endpoint where, std::function<std::string(std::uint16_t port)> holder, Log& log_to)
      : address(std::move(where)), port_holder(std::move(holder)), log(log_to) {}

  Tokens::iterator add(const std::string& target, const std::string& key_authorization);
  void remove(Tokens::iterator token);

  void bind();
  std::optional<std::string> find(const std::string& target);
  void count_visit(const std::string& target);

  const Endpoint address;
  const std::function<std::string(std::uint16_t port)> port_holder;
  Log& log;

  std::mutex binding;  // held while the port is taken or let go; before `mutex`
  std::uint16_t bound_port = 0;
  std::unique_ptr<RequestLoop> loop;  // there is one as long as there are tokens

  std::mutex mutex;
  std::condition_variable_any visited;
  Tokens tokens;
};

class Http01Listener::Pending final : public Answer {
 public:
  Pending(std::shared_ptr<State> state, State::Tokens::iterator token) : state_(std::move(state)), token_(token) {}
  ~Pending() override { state_->remove(token_); }

  unsigned visits() const override {
    const std::lock_guard lock(state_->mutex);
    return token_->second.visits;
  }

  bool wait_for_visit(unsigned seen, Duration timeout, const std::stop_token& stop) const override {
    std::unique_lock lock(state_->mutex);
    return state_->visited.wait_for(lock, stop, timeout, [&] { return token_->second.visits > seen; });
  }

 private:
  const std::shared_ptr<State> state_;
  const State::Tokens::iterator token_;
};

Http01Listener::State::Tokens::iterator Http01Listener::State::add(const std::string& target,
                                                                   const std::string& key_authorization) {
  const std::lock_guard binding_lock(binding);
  if (!loop) bind();
  const std::lock_guard lock(mutex);
  return tokens.emplace(target, Token{key_authorization});
}

void Http01Listener::State::remove(Tokens::iterator token) {
  const std::lock_guard binding_lock(binding);
  {
    const std::lock_guard lock(mutex);
    tokens.erase(token);
    if (!tokens.empty()) return;
  }
  loop.reset();
  log.debug("let go of port " + std::to_string(bound_port));
  bound_port = 0;
}

void Http01Listener::State::bind() {
  std::vector<Socket> sockets = listen_at(address, port_holder);
  const std::uint16_t port = local_port(sockets.front());
  // This may outlive the listener, but not the loop.
  const auto http = std::make_shared<Http>([this](const std::string& target) { return find(target); });
  try {
    loop = std::make_unique<RequestLoop>(std::move(sockets), [this, http](std::string_view request) {
      Http::Response response = http->respond(request);
      return Reply{std::move(response.bytes), [this, target = response.fetched] { count_visit(target); }};
    });
  } catch (const std::system_error& failure) {
    throw Error(Remedy::retry, "cannot start the listener for the HTTP-01 challenge: " + failure.code().message());
  }
  bound_port = port;
  log.debug("listening on port " + std::to_string(port) + " for the HTTP-01 challenge");
}

std::optional<std::string> Http01Listener::State::find(const std::string& target) {
  const std::lock_guard lock(mutex);
  const auto token = tokens.find(target);
  if (token == tokens.end()) return std::nullopt;
  return token->second.key_authorization;
}

void Http01Listener::State::count_visit(const std::string& target) {
  const std::lock_guard lock(mutex);
  const auto [first, last] = tokens.equal_range(target);
  if (first == last) return;
  for (auto token = first; token != last; ++token) ++token->second.visits;
  visited.notify_all();
}

Http01Listener::Http01Listener(Endpoint address, std::function<std::string(std::uint16_t port)> port_holder, Log& log)
    : state_(std::make_shared<State>(std::move(address), std::move(port_holder), log)) {}

Http01Listener::~Http01Listener() = default;

std::unique_ptr<Http01Listener::Answer> Http01Listener::publish(const std::string& token,
                                                                const std::string& key_authorization) {
  // RFC 8555 8.3
  const auto pending = state_->add("/.well-known/acme-challenge/" + token, key_authorization);
  return std::make_unique<Pending>(state_, pending);
}

std::uint16_t Http01Listener::port() const {
  const std::lock_guard lock(state_->binding);
  return state_->bound_port;
}

}  // namespace acme_agent
