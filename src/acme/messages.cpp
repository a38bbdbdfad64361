#include "messages.hpp"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include <acme_agent/base/base64url.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

using nlohmann::json;

constexpr std::size_t max_body = std::size_t{1} << 20;
constexpr int max_depth = 32;
constexpr std::size_t max_url = 2048;
constexpr std::size_t max_token = 128;
/// Members of any list; the largest orders of public servers have 100 names.
constexpr std::size_t max_members = 1000;
constexpr std::size_t max_subproblems = 100;
constexpr std::size_t max_contacts = 100;
constexpr std::size_t max_profiles = 100;

bool too_deep(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') quoted = !quoted;
    if (quoted && c == '\\') ++i;
    if (quoted) continue;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (depth > max_depth) return true;
  }
  return false;
}

/// Nothing if `text` is no JSON, or too large or too deep to be an answer of an ACME server.
/// (The parser's own callback could bound the depth, but takes quadratic time for a long list.)
std::optional<json> parse_json(const std::string& text) {
  if (text.size() > max_body || too_deep(text)) return std::nullopt;
  json value = json::parse(text, nullptr, false);
  return value.is_discarded() ? std::nullopt : std::optional(std::move(value));
}

const json* find(const json& object, const char* name) {
  const auto member = object.find(name);
  return member == object.end() ? nullptr : &*member;
}

/// Empty if there is no such text.
std::string optional_text(const json& object, const char* name) {
  const json* member = find(object, name);
  return member != nullptr && member->is_string() ? member->get<std::string>() : std::string();
}

bool is_true(const json& object, const char* name) {
  const json* member = find(object, name);
  return member != nullptr && member->is_boolean() && member->get<bool>();
}

std::optional<Status> to_status(std::string_view word) {
  if (word == "pending") return Status::pending;
  if (word == "processing") return Status::processing;
  if (word == "ready") return Status::ready;
  if (word == "valid") return Status::valid;
  if (word == "invalid") return Status::invalid;
  if (word == "deactivated") return Status::deactivated;
  if (word == "expired") return Status::expired;
  if (word == "revoked") return Status::revoked;
  return std::nullopt;
}

std::optional<Identifier> to_identifier(const json& object) {
  if (!object.is_object()) return std::nullopt;
  const std::string type = optional_text(object, "type");
  try {
    const Identifier identifier = parse_identifier(optional_text(object, "value"));
    const bool fits = type == (identifier.type == Identifier::Type::dns ? "dns" : "ip");
    return fits ? std::optional(identifier) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::optional<Problem> to_problem(const json& object) {
  const auto short_type = [](std::string type) {
    constexpr std::string_view acme = "urn:ietf:params:acme:error:";  // RFC 8555 6.7
    if (type.starts_with(acme)) type.erase(0, acme.size());
    return type;
  };
  if (!object.is_object()) return std::nullopt;
  Problem problem;
  problem.type = short_type(optional_text(object, "type"));
  problem.detail = optional_text(object, "detail");
  if (problem.type.empty() && problem.detail.empty()) return std::nullopt;
  problem.instance = optional_text(object, "instance");
  if (const json* status = find(object, "status"); status != nullptr && status->is_number_integer()) {
    problem.status = static_cast<int>(std::clamp<std::int64_t>(status->get<std::int64_t>(), 0, 999));
  }
  if (const json* subproblems = find(object, "subproblems"); subproblems != nullptr && subproblems->is_array()) {
    for (const json& sub : *subproblems) {
      if (!sub.is_object() || problem.subproblems.size() == max_subproblems) continue;
      const json* identifier = find(sub, "identifier");
      problem.subproblems.push_back({short_type(optional_text(sub, "type")), optional_text(sub, "detail"),
                                     identifier != nullptr ? to_identifier(*identifier) : std::nullopt});
    }
  }
  return problem;
}

std::optional<Problem> error_of(const json& object) {
  const json* error = find(object, "error");
  return error != nullptr ? to_problem(*error) : std::nullopt;
}

bool is_token(std::string_view token) {
  const auto is_base64url = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !token.empty() && token.size() <= max_token && std::all_of(token.begin(), token.end(), is_base64url);
}

/// One object that a server sent, and the complaints about it.
class Answer {
 public:
  Answer(const std::string& body, const std::string& url, std::string kind, Remedy remedy = Remedy::retry)
      : remedy_(remedy), sender_("the server at " + host_of(url) + " sent " + std::move(kind)) {
    std::optional<json> object = parse_json(body);
    if (!object || !object->is_object()) complain("that is no JSON object we could read");
    object_ = std::move(*object);
  }

  const json& object() const { return object_; }

  [[noreturn]] void complain(const std::string& fault) const { throw Error(remedy_, sender_ + " " + fault); }

  std::string text(const char* name) const {
    const json* member = find(object_, name);
    if (member == nullptr) complain(without(name));
    if (!member->is_string()) complain("whose '" + std::string(name) + "' is no text");
    return member->get<std::string>();
  }

  std::string url(const char* name) const { return checked_url(text(name), name); }

  /// Empty if there is none that can be used.
  std::string optional_url(const char* name) const {
    std::string url = optional_text(object_, name);
    return is_usable_url(url) ? url : std::string();
  }

  std::string checked_url(std::string url, const char* name) const {
    if (!is_usable_url(url)) complain("whose '" + std::string(name) + "' is no https URL: " + printable(url, 100));
    return url;
  }

  const json& list(const char* name) const {
    const json* member = find(object_, name);
    if (member == nullptr) complain(without(name));
    if (!member->is_array()) complain("whose '" + std::string(name) + "' is no list");
    if (member->size() > max_members) complain("with " + std::to_string(member->size()) + " '" + name + "'");
    return *member;
  }

  Status status() const {
    const std::string word = text("status");
    const std::optional<Status> status = to_status(word);
    if (!status) complain("in the unknown state '" + printable(word, 50) + "'");
    return *status;
  }

  Identifier identifier(const json& member) const {
    const std::optional<Identifier> identifier = to_identifier(member);
    if (!identifier) complain("with an identifier that is no name or address");
    return *identifier;
  }

 private:
  static std::string without(const char* name) { return "without '" + std::string(name) + "'"; }

  const Remedy remedy_;
  std::string sender_;
  json object_;
};

/// The names of this server in CAA records and the like; none at all if one of them is no name.
std::vector<std::string> issuer_names(const json& object, const char* name) {
  constexpr std::size_t most = 10;  // as draft-ietf-acme-dns-persist has it
  const json* list = find(object, name);
  if (list == nullptr || !list->is_array() || list->size() > most) return {};
  std::vector<std::string> names;
  for (const json& member : *list) {
    const std::optional<Identifier> issuer =
        to_identifier({{"type", "dns"}, {"value", member.is_string() ? member : json("")}});
    if (!issuer || issuer->wildcard()) return {};
    names.push_back(issuer->value);
  }
  return names;
}

/// A challenge that is not as it should be is one that we cannot use: it must not hurt the others.
Challenge to_challenge(const json& object) {
  Challenge challenge;
  challenge.type = optional_text(object, "type");
  challenge.url = optional_text(object, "url");
  challenge.error = error_of(object);
  const std::optional<Status> status = to_status(optional_text(object, "status"));
  challenge.status = status.value_or(Status::pending);
  const std::string token = optional_text(object, "token");
  if (!status || !is_usable_url(challenge.url)) return challenge;
  // Without issuers nobody can say which record it is about, whatever else the server sends.
  if (challenge.type == "dns-persist-01")
    challenge.issuer_domain_names = issuer_names(object, "issuer-domain-names");
  else if (is_token(token))
    challenge.token = token;
  return challenge;
}

/// A flattened JWS (RFC 7515 7.2.2).
template <class Sign>
std::string flattened(const json& header, const std::string& payload, const Sign& sign) {
  const std::string protected_header = base64url_encode(header.dump());
  const std::string encoded_payload = base64url_encode(payload);
  const std::string signature = sign(protected_header + "." + encoded_payload);
  return json{{"protected", protected_header}, {"payload", encoded_payload}, {"signature", base64url_encode(signature)}}
      .dump();
}

}  // namespace

Directory read_directory(const std::string& body, const std::string& url) {
  const Answer answer(body, url, "a directory");
  Directory directory;
  directory.url = url;
  directory.new_nonce = answer.url("newNonce");
  directory.new_account = answer.url("newAccount");
  directory.new_order = answer.url("newOrder");
  // RFC 9773 4: who has none, or none that can be used, gives no advice; nothing that is ordered needs the others.
  directory.renewal_info = answer.optional_url("renewalInfo");
  directory.revoke_cert = answer.optional_url("revokeCert");
  directory.key_change = answer.optional_url("keyChange");
  if (const json* meta = find(answer.object(), "meta"); meta != nullptr && meta->is_object()) {
    directory.terms_of_service = optional_text(*meta, "termsOfService");
    directory.external_account_required = is_true(*meta, "externalAccountRequired");
    if (const json* profiles = find(*meta, "profiles"); profiles != nullptr && profiles->is_object())
      for (const auto& [profile, description] : profiles->items())
        if (directory.profiles.size() < max_profiles) directory.profiles.push_back(profile);
    directory.caa_identities = issuer_names(*meta, "caaIdentities");
  }
  return directory;
}

AccountInfo read_account(const std::string& body, const std::string& url) {
  const Answer answer(body, url, "an account");
  AccountInfo account;
  account.status = answer.status();
  account.created = parse_rfc3339(optional_text(answer.object(), "createdAt"));
  const json* contacts = find(answer.object(), "contact");
  if (contacts == nullptr || !contacts->is_array()) return account;
  for (const json& contact : *contacts)
    if (contact.is_string() && contact != "" && account.contact.size() < max_contacts)
      account.contact.push_back(printable(contact.get<std::string>()));
  return account;
}

Order read_order(const std::string& body, const std::string& url) {
  const Answer answer(body, url, "an order");
  Order order;
  order.url = url;
  order.status = answer.status();
  for (const json& member : answer.list("identifiers")) order.identifiers.push_back(answer.identifier(member));
  for (const json& member : answer.list("authorizations")) {
    order.authorizations.push_back(
        answer.checked_url(member.is_string() ? member.get<std::string>() : std::string(), "authorizations"));
  }
  order.finalize = answer.url("finalize");
  if (order.status == Status::valid) order.certificate = answer.url("certificate");
  order.error = error_of(answer.object());
  order.profile = optional_text(answer.object(), "profile");
  return order;
}

void refuse_other_than_challenge(const std::string& body, const std::string& url, const std::string& type) {
  const std::optional<json> answer = parse_json(body);
  if (answer && answer->is_object() && optional_text(*answer, "type") != type)
    throw Error(Remedy::retry, "the server at " + host_of(url) + " answered for something else than the challenge " +
                                   printable(type, 40) + ": does a proxy in between mix up its answers?");
}

Authorization read_authorization(const std::string& body, const std::string& url) {
  const Answer answer(body, url, "an authorization");
  Authorization authorization;
  authorization.url = url;
  authorization.status = answer.status();
  const json* identifier = find(answer.object(), "identifier");
  if (identifier == nullptr) answer.complain("without 'identifier'");
  authorization.identifier = answer.identifier(*identifier);
  // RFC 8555 7.1.4: the identifier of a wildcard is the name without its "*.".
  if (is_true(answer.object(), "wildcard") && !authorization.identifier.wildcard()) {
    authorization.identifier = answer.identifier({{"type", "dns"}, {"value", "*." + authorization.identifier.value}});
  }
  for (const json& member : answer.list("challenges")) {
    if (member.is_object()) authorization.challenges.push_back(to_challenge(member));
  }
  return authorization;
}

RenewalInfo read_renewal_info(const std::string& body, const std::string& url) {
  const Answer answer(body, url, "renewal information", Remedy::ask_operator);
  const json* window = find(answer.object(), "suggestedWindow");
  if (window == nullptr || !window->is_object()) answer.complain("without 'suggestedWindow'");
  const std::optional<TimePoint> start = parse_rfc3339(optional_text(*window, "start"));
  const std::optional<TimePoint> end = parse_rfc3339(optional_text(*window, "end"));
  if (!start || !end) answer.complain("whose window has no start or no end that is a date");
  if (*end <= *start) answer.complain("whose window ends before it starts");  // RFC 9773 4.2
  return {{*start, *end}, optional_text(answer.object(), "explanationURL")};
}

std::optional<Problem> read_problem(const std::string& body) {
  const std::optional<json> object = parse_json(body);
  return object ? to_problem(*object) : std::nullopt;
}

bool is_usable_url(std::string_view url) {
  constexpr std::string_view scheme = "https://";
  return url.starts_with(scheme) && url.size() > scheme.size() && url.size() < max_url &&
         std::string_view("/?#:@").find(url[scheme.size()]) == std::string_view::npos &&
         std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::string host_of(const std::string& url) {
  const std::size_t scheme = url.find("://");
  const std::size_t host = scheme == std::string::npos ? 0 : scheme + 3;
  return printable(url.substr(host, url.find_first_of("/?#", host) - host), 300);
}

std::string new_account_payload(const std::string& contact, const std::string& binding) {
  json payload = {{"termsOfServiceAgreed", true}};
  if (!contact.empty()) payload["contact"] = {"mailto:" + contact};
  if (!binding.empty()) payload["externalAccountBinding"] = json::parse(binding);
  return payload.dump();
}

std::string account_binding(const ExternalAccount& external, const PrivateKey& key,
                            const std::string& new_account_url) {
  const char* algorithm = external.hash == Hash::sha256 ? "HS256" : external.hash == Hash::sha384 ? "HS384" : "HS512";
  const json header = {{"alg", algorithm}, {"kid", external.kid}, {"url", new_account_url}};
  return flattened(header, key.jwk(), [&](const std::string& data) { return hmac(external.hash, external.key, data); });
}

std::string contact_payload(const std::string& contact) {
  return json{{"contact", {"mailto:" + contact}}}.dump();
}

std::string key_change_payload(const PrivateKey& fresh, const PrivateKey& old, const std::string& account_url,
                               const std::string& url) {
  const json header = {{"alg", fresh.jws_algorithm()}, {"jwk", json::parse(fresh.jwk())}, {"url", url}};
  const json change = {{"account", account_url}, {"oldKey", json::parse(old.jwk())}};
  return flattened(header, change.dump(), [&fresh](const std::string& data) { return fresh.sign_jws(data); });
}

std::string revocation_payload(std::string_view certificate_der, std::optional<int> reason) {
  json payload = {{"certificate", base64url_encode(certificate_der)}};
  if (reason) payload["reason"] = *reason;
  return payload.dump();
}

std::string new_order_payload(const OrderTerms& terms) {
  json list = json::array();
  for (const Identifier& identifier : terms.identifiers) {
    const bool dns = identifier.type == Identifier::Type::dns;
    list.push_back({{"type", dns ? "dns" : "ip"}, {"value", identifier.value}});
  }
  json payload{{"identifiers", list}};
  if (!terms.replaces.empty()) payload["replaces"] = terms.replaces;
  if (!terms.profile.empty()) payload["profile"] = terms.profile;
  return payload.dump();
}

std::string finalize_payload(std::string_view csr_der) {
  return json{{"csr", base64url_encode(csr_der)}}.dump();
}

std::string signed_request(const PrivateKey& key, const std::string& account_url, const std::string& nonce,
                           const std::string& url, const std::string& payload) {
  json header = {{"alg", key.jws_algorithm()}, {"nonce", nonce}, {"url", url}};
  // RFC 8555 6.2: one of the two, never both.
  if (account_url.empty()) {
    header["jwk"] = json::parse(key.jwk());
  } else {
    header["kid"] = account_url;
  }
  return flattened(header, payload, [&key](const std::string& data) { return key.sign_jws(data); });
}

}  // namespace acme_agent
