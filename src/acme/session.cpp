#include <algorithm>
#include <utility>

#include <acme_agent/acme/session.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>

#include "answers.hpp"
#include "messages.hpp"

namespace acme_agent {
namespace {

/// How long a server may refuse nonces.
constexpr std::chrono::seconds nonce_patience{30};
/// And how often: where nine of ten are refused, one request in forty thousand comes to that.
constexpr int nonce_tries = 100;
constexpr std::size_t max_nonce = 512;
constexpr std::size_t most_alternates = 10;

std::string location(const Response& response, const std::string& url, const char* what) {
  const std::string location = response.header("location").value_or("");
  if (is_usable_url(location)) return location;
  throw Error(Remedy::retry, "the server at " + host_of(url) + " did not say where " + what +
                                 " is (header Location with an https URL)");
}

/// The URL for what not every server lets its clients do.
const std::string& offered(const std::string& url, const char* what, const std::string& directory_url) {
  if (!url.empty()) return url;
  throw Error(Remedy::ask_operator,
              "the server at " + host_of(directory_url) + " offers no way of " + what + ": ask its operator");
}

}  // namespace

Session::Session(Transport& transport, const Clock& clock, std::string directory_url, PrivateKey account_key,
                 std::string account_url)
    : transport_(transport),
      clock_(clock),
      directory_url_(std::move(directory_url)),
      account_key_(std::move(account_key)),
      account_url_(std::move(account_url)) {}

Directory fetch_directory(Transport& transport, const Clock& clock, const std::string& url,
                          const std::stop_token& stop) {
  const Response response = transport.send({Request::Method::get, url, {}, {}}, stop);
  const auto no_acme = [&url](Remedy remedy, const std::string& why) {
    return Error(remedy, printable(url) + " does not answer like an ACME server (" + why + "): check --server");
  };
  if (response.status == 429 || response.status == 408 || response.status >= 500) throw refusal(response, url, clock);
  if (!succeeded(response)) {
    const std::optional<std::string> target = response.header("location");
    throw no_acme(Remedy::ask_operator,
                  "status " + std::to_string(response.status) + (target ? ", see " + printable(*target) : ""));
  }
  try {
    Directory directory = read_directory(response.body, url);
    directory.date = parse_http_date(response.header("date").value_or(""), clock.now());
    return directory;
  } catch (const Error& error) {
    throw no_acme(error.remedy(), error.message());  // perhaps cut short on the way
  }
}

Session::Session(Transport& transport, const Clock& clock, Directory directory, PrivateKey account_key,
                 std::string account_url)
    : transport_(transport),
      clock_(clock),
      directory_url_(directory.url),
      account_key_(std::move(account_key)),
      account_url_(std::move(account_url)),
      directory_(std::move(directory)) {}

std::string Session::server() const {
  return "the server at " + host_of(directory_url_);
}

const Directory& Session::directory(const std::stop_token& stop) {
  if (!directory_) directory_ = fetch_directory(transport_, clock_, directory_url_, stop);
  return *directory_;
}

std::string Session::new_account(const std::string& contact, const std::optional<ExternalAccount>& external,
                                 const std::stop_token& stop) {
  const Directory& at = directory(stop);
  const auto unbound = [this] {
    return Error(Remedy::ask_operator, "the server at " + host_of(directory_url_) +
                                           " makes accounts only for customers that it knows already (external account "
                                           "binding): " +
                                           how_to_bind(directory_url_));
  };
  if (at.external_account_required && !external) {
    // Who has an account already needs no binding any more.
    if (const std::optional<std::string> known = find_account(stop)) return *known;
    throw unbound();
  }
  const std::string binding = external ? account_binding(*external, account_key_, at.new_account) : "";
  try {
    const Response response = post(at.new_account, new_account_payload(contact, binding), "", stop);
    account_url_ = location(response, at.new_account, "our account");
    return account_url_;
  } catch (const ProblemError& refused) {
    const std::string& type = refused.problem().type;
    if (!external && type == "externalAccountRequired") throw unbound();
    if (!external || (type != "unauthorized" && type != "malformed")) throw;
    throw Error(Remedy::ask_operator, "the server at " + host_of(directory_url_) +
                                          " does not take the external account binding: \"" +
                                          printable(refused.problem().detail) + "\" (" + printable(type) +
                                          "); check --eab-kid and --eab-hmac-key-file");
  }
}

std::optional<std::string> Session::find_account(const std::stop_token& stop) {
  const std::string& url = directory(stop).new_account;
  try {
    account_url_ = location(post(url, R"({"onlyReturnExisting":true})", "", stop), url, "our account");
    return account_url_;
  } catch (const ProblemError& refused) {
    if (refused.problem().type != "accountDoesNotExist") throw;
    return std::nullopt;
  }
}

AccountInfo Session::account(const std::stop_token& stop) {
  return read_account(post(account_url_, "", account_url_, stop).body, account_url_);
}

AccountInfo Session::set_contact(const std::string& contact, const std::stop_token& stop) {
  return read_account(post(account_url_, contact_payload(contact), account_url_, stop).body, account_url_);
}

void Session::change_key(const PrivateKey& fresh, const std::stop_token& stop) {
  const std::string& url = offered(directory(stop).key_change, "changing an account's key", directory_url_);
  post(url, key_change_payload(fresh, account_key_, account_url_, url), account_url_, stop);
  account_key_ = fresh;
}

void Session::deactivate(const std::stop_token& stop) {
  post(account_url_, R"({"status":"deactivated"})", account_url_, stop);
}

void Session::revoke(const Certificate& certificate, std::optional<int> reason, const std::stop_token& stop) {
  const std::string& url = offered(directory(stop).revoke_cert, "revoking a certificate", directory_url_);
  try {
    post(url, revocation_payload(certificate.der(), reason), account_url_, stop);
  } catch (const ProblemError& refused) {
    if (refused.problem().type != "alreadyRevoked") throw;
  }
}

Order Session::new_order(const OrderTerms& terms, const std::stop_token& stop) {
  const std::string& url = directory(stop).new_order;
  const Response response = post(url, new_order_payload(terms), account_url_, stop);
  Order order = read_order(response.body, location(response, url, "the new order"));
  // RFC 8555 7.1.3: in any order.
  if (!same_names(order.identifiers, terms.identifiers))
    throw Error(Remedy::retry, "the server at " + host_of(url) + " made an order for other names");
  if (!terms.profile.empty() && order.profile != terms.profile)
    throw Error(Remedy::ask_operator,
                "the server at " + host_of(url) + " was asked for the profile '" + printable(terms.profile) +
                    "' and made an order " +
                    (order.profile.empty() ? "that names none" : "by '" + printable(order.profile, 100) + "'") +
                    ": choose another --profile, or none");
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
  refuse_other_than_challenge(post(challenge.url, "{}", account_url_, stop).body, challenge.url, challenge.type);
}

std::string Session::key_authorization(const Challenge& challenge) const {
  return challenge.token + "." + account_key_.thumbprint();
}

Polled<Order> Session::finalize(const Order& order, std::string_view csr_der, const std::stop_token& stop) {
  const Response response = post(order.finalize, finalize_payload(csr_der), account_url_, stop);
  return {read_order(response.body, order.url), retry_after(response, clock_)};
}

CertificateChain Session::download(const Order& order, const std::function<bool(const CertificateChain&)>& wanted,
                                   const std::stop_token& stop) {
  const auto read = [](const Response& response, const std::string& url) {
    try {
      return CertificateChain::from_pem(response.body);
    } catch (const Error& error) {
      throw error.while_doing("the server at " + host_of(url) + " sent a chain that cannot be used");
    }
  };
  const Response response = post(order.certificate, "", account_url_, stop);
  CertificateChain chain = read(response, order.certificate);
  if (!wanted || wanted(chain)) return chain;
  std::vector<std::string> alternates = links(response, "alternate");
  if (alternates.size() > most_alternates) alternates.resize(most_alternates);
  for (const std::string& url : alternates) {
    if (!is_usable_url(url)) continue;
    try {
      CertificateChain alternate = read(post(url, "", account_url_, stop), url);
      if (alternate.leaf() == chain.leaf() && wanted(alternate)) return alternate;
    } catch (const ProblemError& refused) {
      const int status = refused.problem().status;
      if (status >= 500 || status == 408 || status == 429) throw;
    }
  }
  return chain;
}

Response Session::post(const std::string& url, const std::string& payload, const std::string& kid,
                       const std::stop_token& stop) {
  const Duration give_up = clock_.uptime() + nonce_patience;
  for (int tries = 1;; ++tries) {
    const std::string nonce = take_nonce(stop);
    Response response = transport_.send(
        {Request::Method::post, url, signed_request(account_key_, kid, nonce, url, payload), "application/jose+json"},
        stop);
    keep_nonce(response);
    if (succeeded(response)) return response;
    const ProblemError error = refusal(response, url, clock_);
    // RFC 8555 6.5: to be tried again with the nonce that the error carries.
    if (error.problem().type != "badNonce" || tries == nonce_tries || clock_.uptime() >= give_up) throw error;
  }
}

std::string Session::take_nonce(const std::stop_token& stop) {
  if (nonce_.empty()) {
    const std::string& url = directory(stop).new_nonce;
    const Response response = transport_.send({Request::Method::head, url, {}, {}}, stop);
    if (!succeeded(response)) throw refusal(response, url, clock_);
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
