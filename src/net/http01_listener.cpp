#include <optional>

#include <acme_agent/net/http01_listener.hpp>

#include "http.hpp"
#include "pending_answers.hpp"

namespace acme_agent {
namespace {

constexpr Purpose purpose = {"the HTTP-01 challenge", "--http-listen", "80", "forward /.well-known/acme-challenge/",
                             false};

HttpAnswer not_found() {
  return {404, {{"Content-Type", "text/plain"}}, "not found\n"};
}

Begin begin_requests(PendingAnswers<std::string>& answers) {
  const auto answer = [&answers](const HttpRequest& request) -> HttpAnswer {
    const bool fetch = request.method == "GET" || request.method == "HEAD";
    std::optional<std::string> body = fetch ? answers.find(request.target) : std::nullopt;
    if (!body) return not_found();
    return {200, {{"Content-Type", "application/octet-stream"}}, *std::move(body)};  // RFC 8555 8.3
  };
  const auto http = std::make_shared<Http>(answer, not_found());
  return
      [http, &answers] { return http->begin([&answers](const std::string& target) { answers.count_visit(target); }); };
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
