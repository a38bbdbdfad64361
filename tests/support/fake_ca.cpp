#include "support/fake_ca.hpp"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <limits>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <utility>

#include <acme_agent/base/base64url.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/free.hpp>
#include <acme_agent/crypto/digest.hpp>

#include "support/fake_ca/accounts.hpp"
#include "support/fake_ca/certificates.hpp"
#include "support/fake_ca/jws.hpp"
#include "support/fake_ca/limits.hpp"
#include "support/fake_ca/refusal.hpp"
#include "support/test_ca.hpp"

namespace acme_agent::test {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr int no_end = std::numeric_limits<int>::max();

json to_json(const Identifier& identifier) {
  return {{"type", identifier.type == Identifier::Type::dns ? "dns" : "ip"}, {"value", identifier.value}};
}

/// RFC 9110 5.6.7
std::string http_date(TimePoint time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<seconds>(time - day));
  constexpr std::array week = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT", week[weekday(day).c_encoding()],
                static_cast<unsigned>(date.day()), months[static_cast<unsigned>(date.month()) - 1],
                static_cast<int>(date.year()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
  return text.data();
}

struct Challenge {
  std::string id;
  std::string type;
  std::string token;
  std::string status = "pending";
  std::optional<Refusal> error;
};

struct Authorization {
  std::string id;
  std::string account;
  Identifier identifier;
  std::string status = "pending";
  std::vector<Challenge> challenges;
  TimePoint expires;
  int polls_left = 0;
};

struct Order {
  std::string id;
  std::string account;
  std::string replaces;  ///< The name of a certificate (RFC 9773 4.1), or empty.
  std::string profile;
  std::vector<Identifier> identifiers;
  std::vector<std::string> authorizations;
  TimePoint expires;
  bool finalized = false;
  int polls_left = 0;
  std::optional<Refusal> error;
  std::string pem;
};

/// A validation that still has to be done, with nothing locked.
struct Validation {
  std::string account;
  std::string authorization;
  std::string challenge;
  Identifier identifier;
  std::string token;
  std::string key_authorization;
};

/// What a checked JWS says.
struct Signed : Signer {
  std::string payload;

  bool post_as_get() const { return payload.empty(); }

  json object() const {
    json parsed = json::parse(payload, nullptr, false);
    if (!parsed.is_object()) throw malformed("the payload is no JSON object");
    return parsed;
  }
};

}  // namespace

struct FakeCa::State {
  State(Clock& the_clock, const std::string& url)
      : clock(the_clock), base(url), accounts(url), certificates(the_clock), limits(the_clock) {}

  Clock& clock;
  const std::string base;
  const TestCa authority;
  mutable std::mutex mutex;

  std::function<std::optional<std::string>(const Identifier&, const std::string&)> look;
  int nonce_reject_percent = 0;
  int nonce_reject_next = 0;
  Duration delay{0};
  int down = 0;
  std::deque<std::pair<std::string, Response>> prepared;
  std::deque<std::string> lost;
  std::vector<std::string> profiles;
  std::string caa_identity;
  std::string retry_after_text;
  bool pending_for_ever = false;
  int authorization_polls = 0;
  std::map<std::string, Refusal> failing;
  bool reuse = false;
  std::vector<json> extra;
  int order_polls = 0;
  std::optional<Refusal> issuance_failure;
  Duration lifetime = std::chrono::days(90);
  Duration back = 1h;
  bool other_key = false;
  std::function<std::string(const std::string&)> tampering;
  std::function<void(const Certificate&)> issue_seen;
  bool remembering = true;

  std::minstd_rand dice{1};
  int last_id = 0;
  std::set<std::string> nonces;
  Accounts accounts;
  Certificates certificates;
  Limits limits;
  std::map<std::string, Authorization> authorizations;
  std::map<std::string, Order> orders;
  std::vector<Exchange> exchanges;
  int orders_created = 0;
  int certificates_issued = 0;

  std::string next_id() { return std::to_string(++last_id); }

  std::string new_token() { return base64url_encode(sha256("token " + next_id())); }

  std::string fresh_nonce() {
    std::string nonce = base64url_encode(sha256("nonce " + next_id()).substr(0, 12));
    nonces.insert(nonce);
    return nonce;
  }

  bool rejects_this_nonce() {
    if (nonce_reject_next > 0) {
      --nonce_reject_next;
      return true;
    }
    return std::uniform_int_distribution(0, 99)(dice) < nonce_reject_percent;
  }

  // The order of these checks is Pebble's: it decides which fault is named when there are several.
  Signed open_jws(const Request& request, Accounts::By by) {
    if (request.content_type != "application/jose+json") {
      throw Refusal{415, "malformed", "the content type is not application/jose+json"};
    }
    const Jws jws = read_jws(json::parse(request.body, nullptr, false));
    const Signed result{accounts.signer(jws.header, by), jws.payload};
    check_signature(jws, result.jwk);

    const std::string url = text_of(jws.header, "url");
    if (url.empty()) throw malformed("no url in the header");
    const std::string nonce = text_of(jws.header, "nonce");
    const bool known_nonce = nonces.erase(nonce) == 1;
    if (rejects_this_nonce() || !known_nonce) throw Refusal{400, "badNonce", "unknown nonce " + nonce};
    if (url != request.url) throw malformed("the url in the header is not the one of the request");
    return result;
  }

  json directory() const {
    json all = {
        {"newNonce", base + "/new-nonce"},
        {"newAccount", base + "/new-account"},
        {"newOrder", base + "/new-order"},
        {"revokeCert", base + "/revoke-cert"},
        {"keyChange", base + "/key-change"},
        {"meta", {{"termsOfService", terms()}, {"externalAccountRequired", accounts.external_account_required}}}};
    for (const std::string& profile : profiles) all["meta"]["profiles"][profile] = "see " + base + "/" + profile;
    if (!caa_identity.empty()) all["meta"]["caaIdentities"] = {caa_identity};
    if (certificates.advises) all["renewalInfo"] = base + "/renewal-info";
    return all;
  }

  std::string terms() const { return base + "/terms"; }

  /// RFC 9773 5
  void check_replaces(const Order& order) const {
    certificates.check_replaces(order.replaces, order.account, order.identifiers);
    for (const auto& [id, other] : orders) {
      if (other.replaces == order.replaces && status(other) != "invalid") {
        throw Refusal{409, "alreadyReplaced", "order " + id + " replaces that certificate already"};
      }
    }
  }

  /// What a server of ten years need not keep.
  void forget_what_is_long_over() {
    const TimePoint before = clock.now() - std::chrono::days(120);
    std::erase_if(orders, [&](const auto& order) { return order.second.expires < before; });
    std::erase_if(authorizations, [&](const auto& authorization) { return authorization.second.expires < before; });
    certificates.forget(before);
    limits.forget(before);
    if (nonces.size() > 10'000) nonces.clear();
  }

  Authorization* reusable(const std::string& account, const Identifier& identifier) {
    if (!reuse) return nullptr;
    for (auto& [id, authorization] : authorizations) {
      if (authorization.account == account && authorization.identifier == identifier &&
          authorization.status == "valid" && clock.now() < authorization.expires) {
        return &authorization;
      }
    }
    return nullptr;
  }

  std::string authorize(const std::string& account, const Identifier& identifier) {
    if (const Authorization* authorization = reusable(account, identifier)) return authorization->id;
    Authorization authorization{next_id(), account, identifier, "pending", {}, clock.now() + 1h, 0};
    std::vector<std::string> types = {"tls-alpn-01", "http-01", "dns-01"};
    if (identifier.wildcard()) types = {"dns-01"};
    if (identifier.type == Identifier::Type::ip) types = {"tls-alpn-01", "http-01"};
    for (const std::string& type : types) {
      authorization.challenges.push_back({next_id(), type, new_token(), "pending", {}});
    }
    authorizations[authorization.id] = authorization;
    return authorization.id;
  }

  Response new_order(const Signed& request) {
    const json payload = request.object();
    Order order;
    for (const json& member : payload.value("identifiers", json::array())) {
      const std::string type = text_of(member, "type");
      if (type != "dns" && type != "ip") throw malformed("unknown type of identifier: " + type);
      try {
        const Identifier identifier = parse_identifier(text_of(member, "value"));
        if (identifier.type != (type == "dns" ? Identifier::Type::dns : Identifier::Type::ip)) {
          throw malformed("the identifier is not of its type");
        }
        order.identifiers.push_back(identifier);
      } catch (const Error& error) {
        throw malformed(error.message());
      }
    }
    if (order.identifiers.empty()) throw malformed("an order without identifiers");
    std::sort(order.identifiers.begin(), order.identifiers.end());
    order.identifiers.erase(std::unique(order.identifiers.begin(), order.identifiers.end()), order.identifiers.end());
    order.account = request.account;
    order.replaces = text_of(payload, "replaces");
    if (!order.replaces.empty()) check_replaces(order);
    order.profile = text_of(payload, "profile");
    if (order.profile.empty() && !profiles.empty()) order.profile = profiles.front();
    if (!order.profile.empty() && std::find(profiles.begin(), profiles.end(), order.profile) == profiles.end())
      throw Refusal{400, "invalidProfile", "there is no profile " + order.profile};
    limits.check_order(order.account, order.identifiers);
    limits.ordered(order.account);
    if (!remembering) forget_what_is_long_over();
    ++orders_created;
    order.id = next_id();
    order.expires = clock.now() + 24h;
    for (const Identifier& identifier : order.identifiers) {
      order.authorizations.push_back(authorize(request.account, identifier));
    }
    // RFC 8555 7.1.3: in no order.
    std::shuffle(order.identifiers.begin(), order.identifiers.end(), dice);
    std::shuffle(order.authorizations.begin(), order.authorizations.end(), dice);
    orders[order.id] = order;
    Response response = show(order, 201);
    response.headers.emplace("location", url_of(order));
    return response;
  }

  std::string url_of(const Order& order) const { return base + "/order/" + order.id; }

  // RFC 8555 7.1.6
  std::string status(const Order& order) const {
    if (order.error) return "invalid";
    if (order.finalized) return order.polls_left > 0 ? "processing" : "valid";
    if (order.expires <= clock.now()) return "invalid";
    bool ready = true;
    for (const std::string& id : order.authorizations) {
      const Authorization& authorization = authorizations.at(id);
      if (authorization.status == "invalid") return "invalid";
      ready = ready && authorization.status == "valid";
    }
    return ready ? "ready" : "pending";
  }

  Response show(const Order& order, int http_status) const {
    json body = {{"status", status(order)},
                 {"expires", format_rfc3339(order.expires)},
                 {"identifiers", json::array()},
                 {"authorizations", json::array()},
                 {"finalize", base + "/finalize/" + order.id}};
    for (const Identifier& identifier : order.identifiers) body["identifiers"].push_back(to_json(identifier));
    for (const std::string& id : order.authorizations) {
      body["authorizations"].push_back(base + "/authorization/" + id);
    }
    if (order.error) body["error"] = problem(*order.error);
    if (!order.profile.empty()) body["profile"] = order.profile;
    if (body["status"] == "valid") body["certificate"] = base + "/certificate/" + order.id;
    Response response = reply(http_status, body);
    const bool unfinished = body["status"] == "processing" || (body["status"] == "pending" && http_status == 200);
    if (unfinished && !retry_after_text.empty()) {
      response.headers.emplace("retry-after", retry_after_text);
    }
    return response;
  }

  /// An order under way comes one poll further each time that it is shown.
  Response show_and_go_on(Order& order) {
    Response response = show(order, 200);
    if (order.finalized && order.polls_left > 0) --order.polls_left;
    return response;
  }

  template <class T>
  static T& owned(std::map<std::string, T>& all, const std::string& id, const Signed& request) {
    const auto found = all.find(id);
    if (found == all.end()) throw Refusal{404, "", ""};
    if (found->second.account != request.account) throw not_yours();
    return found->second;
  }

  static void require_post_as_get(const Signed& request) {
    if (!request.post_as_get()) throw malformed("a POST-as-GET has an empty payload");
  }

  void issue(Order& order, const std::string& csr) {
    const Validity validity{std::chrono::floor<std::chrono::seconds>(clock.now() - back),
                            std::chrono::floor<std::chrono::seconds>(clock.now() - back + lifetime)};
    std::optional<CertificateChain> chain;
    try {
      chain = authority.issue_for_csr(csr, validity);
    } catch (const Error& error) {
      throw Refusal{400, "badCSR", error.message()};
    }
    std::vector<Identifier> wanted = order.identifiers;
    std::sort(wanted.begin(), wanted.end());
    if (chain->leaf().identifiers() != wanted) {
      throw Refusal{403, "unauthorized", "the request is for other names than the order"};
    }
    // RFC 8555 11.1: no certificate for an account's key.
    if (certificates.is_compromised(chain->leaf()))
      throw Refusal{400, "badPublicKey", "the key is known to be compromised"};
    for (const json& jwk : accounts.keys()) {
      if (is_key_of(csr, jwk)) throw Refusal{400, "badCSR", "the key is an account's key"};
    }
    order.finalized = true;
    order.polls_left = order_polls;
    if (issuance_failure) {
      order.error = issuance_failure;
      return;
    }
    if (other_key) chain = authority.issue(PrivateKey::generate(KeyType::ec256), wanted, validity);
    order.pem = chain->pem();
    ++certificates_issued;
    limits.issued(wanted);
    const Certificate& leaf = chain->leaf();
    certificates.add(order.account, wanted, leaf);
    if (issue_seen) issue_seen(leaf);
  }

  static bool is_key_of(const std::string& csr, const json& jwk) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(csr.data());
    const std::unique_ptr<X509_REQ, Free<X509_REQ_free>> request(
        d2i_X509_REQ(nullptr, &bytes, static_cast<long>(csr.size())));
    return request && EVP_PKEY_eq(X509_REQ_get0_pubkey(request.get()), public_key(jwk).get()) == 1;
  }

  Response finalize(const std::string& id, const Signed& request) {
    const auto found = orders.find(id);
    if (found == orders.end()) throw Refusal{404, "malformed", "no such order"};
    Order& order = owned(orders, id, request);
    if (status(order) != "ready") throw Refusal{403, "orderNotReady", "the order is " + status(order)};
    const std::string csr = decoded(request.object(), "csr");
    const auto* bytes = reinterpret_cast<const unsigned char*>(csr.data());
    const std::unique_ptr<X509_REQ, Free<X509_REQ_free>> parsed(
        d2i_X509_REQ(nullptr, &bytes, static_cast<long>(csr.size())));
    if (!parsed) throw malformed("the certificate request is none");
    issue(order, csr);
    return show_and_go_on(order);
  }

  json show(const Challenge& challenge) const {
    json body = {{"type", challenge.type},
                 {"url", base + "/challenge/" + challenge.id},
                 {"token", challenge.token},
                 {"status", challenge.status}};
    if (challenge.error && challenge.status == "invalid") body["error"] = problem(*challenge.error);
    return body;
  }

  /// A validation that is over is seen by the first poll after `polls_left` others.
  static void settle(Authorization& authorization) {
    for (Challenge& challenge : authorization.challenges) {
      if (challenge.status != "validated") continue;
      challenge.status = challenge.error ? "invalid" : "valid";
      authorization.status = challenge.status;
    }
  }

  /// A client may poll the authorization or its order: both bring the validation forward.
  void poll(Authorization& authorization) const {
    if (authorization.status != "pending") return;
    if (authorization.polls_left > 0) {
      --authorization.polls_left;
      return;
    }
    settle(authorization);
    if (authorization.status == "valid") authorization.expires = clock.now() + std::chrono::days(30);
  }

  Response show(Authorization& authorization) {
    poll(authorization);
    const bool still_pending = authorization.status == "pending";
    json body = {{"status", authorization.status},
                 {"identifier", to_json(authorization.identifier)},
                 {"expires", format_rfc3339(authorization.expires)},
                 {"challenges", json::array()}};
    if (authorization.identifier.wildcard()) {
      body["wildcard"] = true;
      body["identifier"]["value"] = authorization.identifier.value.substr(2);
    }
    if (still_pending) {
      for (const json& challenge : extra) body["challenges"].push_back(challenge);
    }
    for (const Challenge& challenge : authorization.challenges) {
      if (still_pending || challenge.status == authorization.status) body["challenges"].push_back(show(challenge));
    }
    for (json& challenge : body["challenges"]) {
      if (text_of(challenge, "status") == "validated") challenge["status"] = "processing";
    }
    Response response = reply(200, body);
    if (still_pending && !retry_after_text.empty()) response.headers.emplace("retry-after", retry_after_text);
    return response;
  }

  Response answer_challenge(const std::string& id, const Signed& request, std::optional<Validation>& validation) {
    for (auto& [authorization_id, authorization] : authorizations) {
      for (Challenge& challenge : authorization.challenges) {
        if (challenge.id != id) continue;
        const bool mine = authorization.account == request.account;
        if (request.post_as_get()) {
          if (!mine) throw not_yours();
          return reply(200, show(challenge));
        }
        if (request.payload != "{}") throw malformed("the answer to a challenge is {}");
        if (challenge.status != "pending") throw malformed("the challenge is " + challenge.status);
        if (!mine) throw not_yours();
        challenge.status = "processing";
        authorization.polls_left = authorization_polls;
        validation =
            Validation{request.account,          authorization_id, id,
                       authorization.identifier, challenge.token,  challenge.token + "." + thumbprint(request.jwk)};
        return reply(200, show(challenge));
      }
    }
    throw Refusal{404, "", ""};
  }

  /// What the server finds when it looks, nothing locked.
  void validate(const Validation& validation) {
    std::function<std::optional<std::string>(const Identifier&, const std::string&)> how;
    std::optional<Refusal> failure;
    {
      const std::lock_guard lock(mutex);
      if (pending_for_ever) return;
      how = look;
      const auto failing_name = failing.find(validation.identifier.value);
      if (failing_name != failing.end()) failure = failing_name->second;
    }
    if (!failure && how) {
      const std::optional<std::string> shown = how(validation.identifier, validation.token);
      if (!shown) failure = Refusal{400, "connection", validation.identifier.value + ": connection refused"};
      if (shown && *shown != validation.key_authorization) {
        failure = Refusal{403, "unauthorized", "the key authorization is not " + validation.key_authorization};
      }
    }
    const std::lock_guard lock(mutex);
    const auto authorization = authorizations.find(validation.authorization);
    if (authorization == authorizations.end()) return;
    for (Challenge& challenge : authorization->second.challenges) {
      if (challenge.id != validation.challenge) continue;
      challenge.status = "validated";
      challenge.error = failure;
      if (failure) limits.validation_failed(validation.account, validation.identifier);
    }
  }

  Response download(const std::string& id, const Signed& request) {
    const Order& order = owned(orders, id, request);
    if (order.pem.empty()) throw Refusal{404, "", ""};
    Response response;
    response.status = 200;
    response.headers.emplace("content-type", "application/pem-certificate-chain");
    response.body = tampering ? tampering(order.pem) : order.pem;
    return response;
  }

  Response handle(const Request& request, std::string& payload, std::optional<Validation>& validation) {
    const std::string path = request.url.starts_with(base) ? request.url.substr(base.size()) : "";
    const auto rest_behind = [&path](std::string_view prefix) {
      return path.starts_with(prefix) ? std::optional(path.substr(prefix.size())) : std::nullopt;
    };
    const bool post = request.method == Request::Method::post;
    if (path == "/directory" && !post) return reply(200, directory());
    if (path == "/new-nonce" && !post) {
      Response response;
      response.status = request.method == Request::Method::head ? 200 : 204;
      return response;
    }
    if (const auto id = rest_behind("/renewal-info/"); id && certificates.advises && !post) {
      return certificates.renewal_info(*id);
    }
    if (!post) throw Refusal{405, "malformed", "method not allowed"};

    const bool making_account = path == "/new-account";
    const bool revoking = path == "/revoke-cert";
    const Signed opened = open_jws(request, making_account ? Accounts::By::bare_key
                                            : revoking     ? Accounts::By::either
                                                           : Accounts::By::account);
    payload = opened.payload;
    if (making_account) return accounts.new_account(opened.jwk, opened.object(), next_id());
    if (const auto id = rest_behind("/account/")) {
      return accounts.update(*id, opened, opened.post_as_get() ? json() : opened.object());
    }
    if (path == "/key-change") return accounts.change_key(opened, request.url, opened.object());
    if (revoking) {
      certificates.revoke(opened, opened.object());
      Response response;
      response.status = 200;
      return response;
    }
    if (path == "/new-order") return new_order(opened);
    if (const auto id = rest_behind("/challenge/")) return answer_challenge(*id, opened, validation);
    if (const auto id = rest_behind("/finalize/")) return finalize(*id, opened);
    if (const auto id = rest_behind("/order/")) {
      require_post_as_get(opened);
      Order& order = owned(orders, *id, opened);
      for (const std::string& authorization : order.authorizations) poll(authorizations.at(authorization));
      return show_and_go_on(order);
    }
    if (const auto id = rest_behind("/authorization/")) {
      require_post_as_get(opened);
      return show(owned(authorizations, *id, opened));
    }
    if (const auto id = rest_behind("/certificate/")) {
      require_post_as_get(opened);
      return download(*id, opened);
    }
    throw Refusal{404, "", ""};
  }

  Response answer(const Request& request, std::string& payload, std::optional<Validation>& validation) {
    const auto match = std::find_if(prepared.begin(), prepared.end(), [&request](const auto& waiting) {
      return request.url.find(waiting.first) != std::string::npos;
    });
    if (match != prepared.end()) {
      Response response = match->second;
      prepared.erase(match);
      return response;
    }
    Response response;
    try {
      response = handle(request, payload, validation);
    } catch (const Refusal& refusal) {
      response.status = refusal.status;
      if (!refusal.type.empty()) {
        response.headers.emplace("content-type", "application/problem+json");
        response.body = problem(refusal).dump();
      }
      if (refusal.type == "userActionRequired") {
        response.headers.emplace("link", "<" + terms() + ">;rel=\"terms-of-service\"");
      }
      if (!refusal.location.empty()) response.headers.emplace("location", refusal.location);
      if (refusal.retry_after) {
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(*refusal.retry_after);
        response.headers.emplace("retry-after", std::to_string(seconds.count()));
      }
    }
    response.headers.emplace("date", http_date(clock.now()));
    if (request.method == Request::Method::post || request.url.ends_with("/new-nonce")) {
      response.headers.emplace("replay-nonce", fresh_nonce());
    }
    return response;
  }

  bool loses_answer_to(const Request& request) {
    const auto match = std::find_if(lost.begin(), lost.end(), [&request](const std::string& part) {
      return request.url.find(part) != std::string::npos;
    });
    if (match == lost.end()) return false;
    lost.erase(match);
    return true;
  }

  Response exchange(const Request& request, const std::stop_token& stop) {
    Duration wait{0};
    {
      const std::lock_guard lock(mutex);
      wait = delay;
    }
    if (stop.stop_requested() || (wait > 0ms && !clock.sleep_for(wait, stop))) throw Stopped{};

    Response response;
    std::optional<Validation> validation;
    {
      const std::lock_guard lock(mutex);
      if (down > 0) {
        if (down != no_end) --down;
        throw Error(Remedy::retry, "cannot connect to " + base + ": connection refused");
      }
      std::string payload;
      response = answer(request, payload, validation);
      if (remembering) exchanges.push_back({request, payload, response});
    }
    if (validation) validate(*validation);
    const std::lock_guard lock(mutex);
    if (loses_answer_to(request)) throw Error(Remedy::retry, "no answer from " + base + ": connection reset");
    return response;
  }
};

namespace {

class Connection final : public Transport {
 public:
  using Exchange = std::function<Response(const Request&, const std::stop_token&)>;

  explicit Connection(Exchange exchange) : exchange_(std::move(exchange)) {}
  Response send(const Request& request, const std::stop_token& stop) override { return exchange_(request, stop); }

 private:
  Exchange exchange_;
};

}  // namespace

FakeCa::FakeCa(Clock& clock, const std::string& base) : state_(std::make_unique<State>(clock, base)) {}
FakeCa::~FakeCa() = default;

std::string FakeCa::directory_url() const {
  return state_->base + "/directory";
}

std::string FakeCa::root_pem() const {
  return state_->authority.root_pem();
}

std::unique_ptr<Transport> FakeCa::connect() {
  return std::make_unique<Connection>([state = state_.get()](const Request& request, const std::stop_token& stop) {
    return state->exchange(request, stop);
  });
}

void FakeCa::on_validate(std::function<std::optional<std::string>(const Identifier&, const std::string&)> look) {
  const std::lock_guard lock(state_->mutex);
  state_->look = std::move(look);
}

void FakeCa::reject_nonces(int percent) {
  const std::lock_guard lock(state_->mutex);
  state_->nonce_reject_percent = percent;
}

void FakeCa::reject_next_nonces(int count) {
  const std::lock_guard lock(state_->mutex);
  state_->nonce_reject_next = count;
}

void FakeCa::latency(Duration latency) {
  const std::lock_guard lock(state_->mutex);
  state_->delay = latency;
}

void FakeCa::go_down(int exchanges) {
  const std::lock_guard lock(state_->mutex);
  state_->down = exchanges;
}

void FakeCa::go_down() {
  go_down(no_end);
}

void FakeCa::come_back() {
  go_down(0);
}

void FakeCa::answer_next(const std::string& url_part, Response response) {
  const std::lock_guard lock(state_->mutex);
  state_->prepared.emplace_back(url_part, std::move(response));
}

void FakeCa::lose_next_answer(const std::string& url_part) {
  const std::lock_guard lock(state_->mutex);
  state_->lost.push_back(url_part);
}

void FakeCa::retry_after(const std::string& text) {
  const std::lock_guard lock(state_->mutex);
  state_->retry_after_text = text;
}

void FakeCa::require_external_account() {
  const std::lock_guard lock(state_->mutex);
  state_->accounts.external_account_required = true;
}

void FakeCa::external_account(const std::string& kid, const std::string& mac_key) {
  const std::lock_guard lock(state_->mutex);
  state_->accounts.external_keys[kid] = mac_key;
}

void FakeCa::deactivate_accounts() {
  const std::lock_guard lock(state_->mutex);
  state_->accounts.deactivate_all();
}

void FakeCa::forget_accounts() {
  const std::lock_guard lock(state_->mutex);
  state_->accounts.forget();
}

void FakeCa::forget_orders() {
  const std::lock_guard lock(state_->mutex);
  state_->orders.clear();
}

void FakeCa::keep_pending(bool pending) {
  const std::lock_guard lock(state_->mutex);
  state_->pending_for_ever = pending;
}

void FakeCa::validating_polls(int polls) {
  const std::lock_guard lock(state_->mutex);
  state_->authorization_polls = polls;
}

void FakeCa::fail_validation(const std::string& name, const std::string& problem_type, const std::string& detail) {
  const std::lock_guard lock(state_->mutex);
  state_->failing.erase(name);
  if (!problem_type.empty()) state_->failing.emplace(name, Refusal{400, problem_type, detail});
}

void FakeCa::reuse_authorizations(bool reuse) {
  const std::lock_guard lock(state_->mutex);
  state_->reuse = reuse;
}

void FakeCa::extra_challenge(const std::string& text) {
  const std::lock_guard lock(state_->mutex);
  state_->extra.push_back(json::parse(text));
}

void FakeCa::processing_polls(int polls) {
  const std::lock_guard lock(state_->mutex);
  state_->order_polls = polls;
}

void FakeCa::fail_issuance(const std::string& problem_type, const std::string& detail) {
  const std::lock_guard lock(state_->mutex);
  state_->issuance_failure = problem_type.empty() ? std::nullopt : std::optional(Refusal{400, problem_type, detail});
}

void FakeCa::certificate_lifetime(Duration lifetime) {
  const std::lock_guard lock(state_->mutex);
  state_->lifetime = lifetime;
}

void FakeCa::backdate(Duration backdate) {
  const std::lock_guard lock(state_->mutex);
  state_->back = backdate;
}

void FakeCa::wrong_key(bool wrong) {
  const std::lock_guard lock(state_->mutex);
  state_->other_key = wrong;
}

void FakeCa::tamper_chain(std::function<std::string(const std::string&)> tamper) {
  const std::lock_guard lock(state_->mutex);
  state_->tampering = std::move(tamper);
}

void FakeCa::profiles(std::vector<std::string> names) {
  const std::lock_guard lock(state_->mutex);
  state_->profiles = std::move(names);
}

void FakeCa::caa_identity(const std::string& name) {
  const std::lock_guard lock(state_->mutex);
  state_->caa_identity = name;
}

void FakeCa::offer_renewal_info(bool offered) {
  const std::lock_guard lock(state_->mutex);
  state_->certificates.advises = offered;
}

void FakeCa::suggest(std::function<Window(const Validity&)> window) {
  const std::lock_guard lock(state_->mutex);
  state_->certificates.suggestion = std::move(window);
}

void FakeCa::suggest_again_after(const std::string& text) {
  const std::lock_guard lock(state_->mutex);
  state_->certificates.retry_after = text;
}

void FakeCa::explain(const std::string& url) {
  const std::lock_guard lock(state_->mutex);
  state_->certificates.explanation = url;
}

void FakeCa::revoke_all() {
  const std::lock_guard lock(state_->mutex);
  state_->certificates.revoke_all();
}

void FakeCa::refuse_replaces(int status, const std::string& problem_type, const std::string& detail) {
  const std::lock_guard lock(state_->mutex);
  state_->certificates.replaces_refusal =
      status == 0 ? std::nullopt : std::optional(Refusal{status, problem_type, detail});
}

void FakeCa::enforce_limits(bool enforced) {
  const std::lock_guard lock(state_->mutex);
  state_->limits.enforce(enforced);
}

void FakeCa::on_issue(std::function<void(const Certificate&)> seen) {
  const std::lock_guard lock(state_->mutex);
  state_->issue_seen = std::move(seen);
}

void FakeCa::forget_requests() {
  const std::lock_guard lock(state_->mutex);
  state_->remembering = false;
}

int FakeCa::limits_met() const {
  const std::lock_guard lock(state_->mutex);
  return state_->limits.met();
}

int FakeCa::accounts_created() const {
  const std::lock_guard lock(state_->mutex);
  return state_->accounts.created();
}

int FakeCa::certificates_revoked() const {
  const std::lock_guard lock(state_->mutex);
  return state_->certificates.revoked();
}

int FakeCa::orders_created() const {
  const std::lock_guard lock(state_->mutex);
  return state_->orders_created;
}

int FakeCa::certificates_issued() const {
  const std::lock_guard lock(state_->mutex);
  return state_->certificates_issued;
}

std::vector<FakeCa::Exchange> FakeCa::requests() const {
  const std::lock_guard lock(state_->mutex);
  return state_->exchanges;
}

int FakeCa::count(const std::string& url_part) const {
  const std::lock_guard lock(state_->mutex);
  const auto matches = std::count_if(
      state_->exchanges.begin(), state_->exchanges.end(),
      [&url_part](const Exchange& exchange) { return exchange.request.url.find(url_part) != std::string::npos; });
  return static_cast<int>(matches);
}

}  // namespace acme_agent::test
