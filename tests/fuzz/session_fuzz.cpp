#include <charconv>
#include <nlohmann/json.hpp>

#include <acme_agent/acme/session.hpp>
#include <acme_agent/base/base64url.hpp>

#include "acme/messages.hpp"
#include "fuzz.hpp"
#include "server.hpp"

namespace acme_agent::fuzz {
namespace {

using nlohmann::json;

constexpr char end_of_answer = '~';

/// Gives one answer after the other, whatever it is asked, and sees that every request is as RFC 8555 6.2 wants it.
/// An answer is its status, header lines, an empty line and a body, up to a '~'.
class Script final : public Transport {
 public:
  explicit Script(std::string_view answers) : rest_(answers) {}

  Response send(const Request& request, const std::stop_token&) override {
    expect(is_usable_url(request.url), "only https URLs are asked", request.url);
    if (request.method == Request::Method::post) check(request);
    if (rest_.empty()) throw Error(Remedy::retry, "the server is gone");
    const std::size_t end = std::min(rest_.find(end_of_answer), rest_.size());
    const Response answer = read(rest_.substr(0, end));
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    if (const auto nonce = answer.header("replay-nonce")) nonce_ = *nonce;
    return answer;
  }

 private:
  static std::string_view take_line(std::string_view& text) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line;
  }

  static Response read(std::string_view text) {
    Response answer;
    const std::string_view status = trim(take_line(text));
    std::from_chars(status.data(), status.data() + status.size(), answer.status);
    while (!text.empty()) {
      const std::string_view line = take_line(text);
      if (line.empty()) break;
      const std::size_t colon = std::min(line.find(':'), line.size());
      const std::string_view value = line.substr(std::min(colon + 1, line.size()));
      answer.headers.emplace(line.substr(0, colon), trim(value));
    }
    answer.body = text;
    return answer;
  }

  void check(const Request& request) {
    expect(request.content_type == "application/jose+json", "a request is a JWS", request.content_type);
    expect(!nonce_.empty(), "a request has a nonce that the server gave");
    const json body = json::parse(request.body);
    const json header = json::parse(base64url_decode(body.at("protected").get<std::string>()).value());
    expect(header.at("url") == request.url, "a request is signed for the URL that it goes to", header.dump());
    expect(header.at("nonce") == nonce_, "a request has the newest nonce, and no nonce is used twice", header.dump());
    nonce_.clear();
    expect(header.contains("jwk") != header.contains("kid"), "a request has one of jwk and kid", header.dump());
    if (header.contains("kid")) expect(is_usable_url(header.at("kid").get<std::string>()), "an account is a URL");
  }

  std::string_view rest_;
  std::string nonce_;
};

bool issue(Session& session) {
  const std::vector<Identifier> names = {{Identifier::Type::dns, "mydyn.example"}};
  expect(is_usable_url(session.new_account("me@mydyn.example", {})), "an account is a URL");
  const Order order = session.new_order({names}, {});
  expect(same_names(order.identifiers, names), "an order is for the names that were asked for");
  for (const std::string& url : order.authorizations) {
    for (const Challenge& challenge : session.authorization(url, {}).challenges) {
      if (!challenge.token.empty()) session.respond(challenge, {});
    }
  }
  Polled<Order> polled = session.finalize(order, "a request", {});
  if (polled.value.status != Status::valid) polled = session.order(order.url, {});
  if (polled.retry_after) expect_date(*polled.retry_after);
  if (polled.value.status == Status::valid) session.download(polled.value, {}, {});
  return true;
}

}  // namespace

void one_input(std::string_view input) {
  Script server(input);
  const test::FakeClock clock;
  Session session(server, clock, directory_url, account_key(), "");
  attempt([&] { return issue(session); });
}

}  // namespace acme_agent::fuzz
