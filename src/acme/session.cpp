#include <algorithm>
#include <utility>

#include <acme_agent/acme/session.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>

#include "messages.hpp"

namespace acme_agent {
namespace {

/// How long a server may refuse nonces.
constexpr std::chrono::seconds nonce_patience{30};
constexpr std::size_t max_nonce = 512;

bool succeeded(const Response& response) {
  return response.status >= 200 && response.status < 300;
}

std::optional<TimePoint> retry_after(const Response& response, const Clock& clock) {
  const std::optional<std::string> header = response.header("retry-after");
  return header ? parse_retry_after(*header, clock.now()) : std::nullopt;
}

/// The target of the Link header with rel="terms-of-service" (RFC 8555 7.3.3); empty if there is none.
std::string terms_link(const Response& response) {
  const auto [first, last] = response.headers.equal_range("link");
  for (auto header = first; header != last; ++header) {
    const std::string& links = header->second;
    const std::size_t relation = links.find("rel=\"terms-of-service\"");
    if (relation == std::string::npos) continue;
    const std::size_t open = links.rfind('<', relation);
    const std::size_t close = links.rfind('>', relation);
    if (open < close && close != std::string::npos) return links.substr(open + 1, close - open - 1);
  }
  return {};
}

/// Without a problem document it is one that says nothing but its status (RFC 9457 4.2.1).
ProblemError refusal(const Response& response, const Clock& clock) {
  Problem problem = read_problem(response.body).value_or(Problem());
  problem.status = response.status;
  if (problem.instance.empty() && problem.type == "userActionRequired") problem.instance = terms_link(response);
  return ProblemError(std::move(problem), retry_after(response, clock));
}

std::string location(const Response& response, const std::string& url, const char* what) {
  const std::string location = response.header("location").value_or("");
  if (is_usable_url(location)) return location;
  throw Error(Remedy::retry, "the server at " + host_of(url) + " did not say where " + what +
                                 " is (header Location with an https URL)");
}

}  // namespace

Session::Session(Transport& transport, const Clock& clock, std::string directory_url, PrivateKey account_key,
                 std::string account_url)
    : transport_(transport),
      clock_(clock),
      directory_url_(std::move(directory_url)),
      account_key_(std::move(account_key)),
      account_url_(std::move(account_url)) {}

const Directory& Session::directory(const std::stop_token& stop) {
  if (directory_) return *directory_;
  const Response response = transport_.send({Request::Method::get, directory_url_, {}, {}}, stop);
  const auto no_acme = [this](const std::string& why) {
    return Error(Remedy::ask_operator,
                 printable(directory_url_) + " does not answer like an ACME server (" + why + "): check --server");
  };
  if (response.status == 429 || response.status == 408 || response.status >= 500) throw refusal(response, clock_);
  if (!succeeded(response)) {
    const std::optional<std::string> target = response.header("location");
    throw no_acme("status " + std::to_string(response.status) + (target ? ", see " + printable(*target) : ""));
  }
  try {
    directory_ = read_directory(response.body, directory_url_);
  } catch (const Error& error) {
    throw no_acme(error.message());
  }
  keep_nonce(response);
  return *directory_;
}

std::string Session::new_account(const std::string& contact, const std::stop_token& stop) {
  const Directory& at = directory(stop);
  if (at.external_account_required) {
    throw Error(Remedy::ask_operator, "the server at " + host_of(directory_url_) +
                                          " makes accounts only with an external account binding, which is not "
                                          "supported yet: choose another --server");
  }
  const Response response = post(at.new_account, new_account_payload(contact), "", stop);
  account_url_ = location(response, at.new_account, "our account");
  return account_url_;
}

Order Session::new_order(const std::vector<Identifier>& identifiers, const std::stop_token& stop) {
  const std::string& url = directory(stop).new_order;
  const Response response = post(url, new_order_payload(identifiers), account_url_, stop);
  Order order = read_order(response.body, location(response, url, "the new order"));
  // RFC 8555 7.1.3: in any order.
  if (!same_names(order.identifiers, identifiers))
    throw Error(Remedy::retry, "the server at " + host_of(url) + " made an order for other names");
  return order;
}

Polled<Order> Session::order(const std::string& url, const std::stop_token& stop) {
  const Response response = post(url, "", account_url_, stop);
  return {read_order(response.body, url), retry_after(response, clock_)};
}

Authorization Session::authorization(const std::string& url, const std::stop_token& stop) {
  return read_authorization(post(url, "", account_url_, stop).body, url);
}

void Session::respond(const Challenge& challenge, const std::stop_token& stop) {
  post(challenge.url, "{}", account_url_, stop);
}

std::string Session::key_authorization(const Challenge& challenge) const {
  return challenge.token + "." + account_key_.thumbprint();
}

Polled<Order> Session::finalize(const Order& order, std::string_view csr_der, const std::stop_token& stop) {
  const Response response = post(order.finalize, finalize_payload(csr_der), account_url_, stop);
  return {read_order(response.body, order.url), retry_after(response, clock_)};
}

CertificateChain Session::download(const Order& order, const std::stop_token& stop) {
  return CertificateChain::from_pem(post(order.certificate, "", account_url_, stop).body);
}

Response Session::post(const std::string& url, const std::string& payload, const std::string& kid,
                       const std::stop_token& stop) {
  const Duration give_up = clock_.uptime() + nonce_patience;
  for (;;) {
    const std::string nonce = take_nonce(stop);
    Response response = transport_.send(
        {Request::Method::post, url, signed_request(account_key_, kid, nonce, url, payload), "application/jose+json"},
        stop);
    keep_nonce(response);
    if (succeeded(response)) return response;
    const ProblemError error = refusal(response, clock_);
    // RFC 8555 6.5: to be tried again with the nonce that the error carries.
    if (error.problem().type != "badNonce" || clock_.uptime() >= give_up) throw error;
  }
}

std::string Session::take_nonce(const std::stop_token& stop) {
  if (nonce_.empty()) {
    const std::string& url = directory(stop).new_nonce;
    const Response response = transport_.send({Request::Method::head, url, {}, {}}, stop);
    if (!succeeded(response)) throw refusal(response, clock_);
    keep_nonce(response);
    if (nonce_.empty()) throw Error(Remedy::retry, "the server at " + host_of(url) + " gave us no usable nonce");
  }
  return std::exchange(nonce_, {});
}

void Session::keep_nonce(const Response& response) {
  const std::string nonce = response.header("replay-nonce").value_or("");
  constexpr std::string_view base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  // RFC 8555 6.5.1: an invalid value is ignored.
  const bool valid = !nonce.empty() && nonce.size() <= max_nonce;
  if (valid && nonce.find_first_not_of(base64url) == std::string::npos) nonce_ = nonce;
}

}  // namespace acme_agent
