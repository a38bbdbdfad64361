// What a user reads when a server refuses: each type of RFC 8555 6.7, RFC 9773 and the profiles, and each text that
// Let's Encrypt documents, as it comes over the wire.

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <acme_agent/acme/session.hpp>
#include <acme_agent/base/dates.hpp>

#include "support/fake_clock.hpp"

namespace acme_agent {
namespace {

using nlohmann::json;

const std::stop_token never;

struct Refused {
  std::string type;
  int status = 400;
  std::string detail;
  std::string sentence;  ///< With {} for what is quoted: the detail and the type.
  Remedy remedy = Remedy::retry;
  std::string next = {};  ///< The moment of Error::not_before; empty: none.
  std::string retry_after = {};
  std::string challenge = {};  ///< The one that has failed; empty: a request was refused.
  json more = json::object();
};

/// Has a directory and nonces, and refuses everything else.
class RefusingServer final : public Transport {
 public:
  explicit RefusingServer(const Refused& refused) {
    json document = refused.more;
    if (!refused.type.empty()) document["type"] = "urn:ietf:params:acme:error:" + refused.type;
    if (!refused.detail.empty()) document["detail"] = refused.detail;
    document["status"] = refused.status;
    if (refused.challenge.empty()) {
      answer_.status = refused.status;
      answer_.body = document.dump();
    } else {
      answer_.body = json{{"status", "invalid"},
                          {"identifier", {{"type", "dns"}, {"value", "mydyn.example"}}},
                          {"challenges",
                           {{{"type", refused.challenge},
                             {"url", "https://ca.example/challenge"},
                             {"token", "abc"},
                             {"issuer-domain-names", {"ca.example"}},
                             {"status", "invalid"},
                             {"error", document}}}}}
                         .dump();
    }
    answer_.headers.emplace("replay-nonce", "abc");
    if (!refused.retry_after.empty()) answer_.headers.emplace("retry-after", refused.retry_after);
  }

  Response send(const Request& request, const std::stop_token&) override {
    if (request.method == Request::Method::post) return answer_;
    Response response;
    response.status = 200;
    response.headers.emplace("replay-nonce", "abc");
    response.body = R"({"newNonce":"https://ca.example/nonce","newAccount":"https://ca.example/account",
                        "newOrder":"https://ca.example/order"})";
    return response;
  }

 private:
  Response answer_{200, {}, {}};
};

struct Read {
  std::string sentence;
  Remedy remedy = Remedy::retry;
  std::string next = {};
};

/// What becomes of it.
Read read(const Refused& refused) {
  test::FakeClock clock(*parse_rfc3339("2026-11-23T05:00:00Z"));
  RefusingServer server(refused);
  Session session(server, clock, "https://ca.example/directory", PrivateKey::generate(KeyType::ec256),
                  "https://ca.example/account/1");
  try {
    const Authorization authorization = session.authorization("https://ca.example/authorization", never);
    REQUIRE(authorization.challenges.at(0).error.has_value());
    return {authorization.challenges[0].error->sentence(refused.challenge), Remedy::retry, ""};
  } catch (const ProblemError& error) {
    return {error.message(), error.remedy(), error.not_before() ? format_rfc3339(*error.not_before()) : ""};
  }
}

std::string expected(const Refused& refused) {
  std::string quoted;
  if (!refused.detail.empty()) quoted = '"' + refused.detail + '"';
  if (!refused.type.empty()) quoted += (quoted.empty() ? "(" : " (") + refused.type + ")";
  std::string sentence = refused.sentence;
  const std::size_t place = sentence.find("{}");
  if (place != std::string::npos) sentence.replace(place, 2, quoted);
  return sentence + (refused.next.empty() ? "" : "; not to be tried again before " + refused.next);
}

void check(const std::vector<Refused>& table) {
  for (const Refused& refused : table) {
    CAPTURE(refused.type);
    CAPTURE(refused.challenge);
    const Read got = read(refused);
    CHECK(got.sentence == expected(refused));
    CHECK((got.remedy == refused.remedy));
    CHECK(got.next == refused.next);
  }
}

const std::string at_ca = "the server at ca.example ";

TEST_CASE("each type of problem of RFC 8555, RFC 9773 and the profiles is told so that a user knows what to do") {
  const Remedy operator_acts = Remedy::ask_operator;
  check({
      {"accountDoesNotExist", 400, "unable to find account",
       at_ca + "does not know our account: {}; the next order makes a new one", operator_acts},
      {"alreadyReplaced", 409, "certificate already replaced by order 7",
       at_ca + "has replaced that certificate already: {}; an order that replaces none may do"},
      {"alreadyRevoked", 400, "certificate already revoked",
       at_ca + "has revoked that certificate already: {}; there is nothing left to be done", operator_acts},
      {"badCSR", 400, "CSR has other names than the order",
       at_ca + "does not take the certificate request: {}; check --domain and --key-type, and --csr if it is yours",
       operator_acts},
      {"badNonce", 400, "JWS has an invalid anti-replay nonce",
       at_ca + "refuses every nonce that it gave us: {}; check whether a proxy in between stores answers"},
      {"badPublicKey", 400, "key size not supported: 1024",
       at_ca + "does not take this key: {}; choose another --key-type, or give another --key-file", operator_acts},
      {"badRevocationReason", 400, "unsupported revocation reason code: 3",
       at_ca + "does not take this reason for a revocation: {}; give another --reason, or none", operator_acts},
      {"badSignatureAlgorithm", 400, "JWS signature uses ES384",
       at_ca + "does not take signatures by the kind of key that the account has: {}; choose another --server",
       operator_acts},
      {"caa", 403, "CAA record for mydyn.example prevents issuance",
       "a CAA record of the domain forbids this server to issue: {}; change or remove the CAA record, or choose "
       "another "
       "--server"},
      {"connection", 400, "timeout", at_ca + "could not connect to this machine: {}"},
      {"dns", 400, "DNS problem: SERVFAIL looking up CAA for mydyn.example",
       at_ca + "could not look up the name: {}; check that every name server of the domain answers"},
      {"externalAccountRequired", 403, "external account binding required",
       at_ca + "issues only to accounts that it knows already: {}; give --eab-kid and --eab-hmac-key-file",
       operator_acts},
      {"incorrectResponse", 403, "wrong response", at_ca + "found a wrong answer to its challenge: {}"},
      {"invalidContact", 400, "contact email has forbidden domain \"example.com\"",
       at_ca + "does not take this contact: {}; give another --email, or leave it out", operator_acts},
      {"invalidProfile", 400, "profile \"shortlived\" is not for this account",
       at_ca + "does not issue these names by this profile: {}; choose another --profile, or none", operator_acts},
      {"malformed", 400, "Parse error reading JWS",
       at_ca + "did not understand the request: {}; check --domain and --server", operator_acts},
      {"orderNotReady", 403, "Order's status (\"pending\") is not acceptable for finalization",
       at_ca + "does not find the order ready to be finalized: {}; the next try goes on with it"},
      {"rateLimited", 429, "slow down", "a rate limit of " + at_ca + "is reached: {}", Remedy::wait,
       "2026-11-23T05:02:00Z", "120"},
      {"rejectedIdentifier", 400,
       "Cannot issue for \"mydyn.example\": The ACME server refuses to issue a certificate for this domain name, "
       "because it is forbidden by policy",
       at_ca +
           "does not issue for this name: {}; leave the name out of --domain, or choose another --profile or --server",
       operator_acts},
      {"serverInternal", 500, "Error creating new order",
       at_ca + "has a fault of its own: {}; there is nothing to be done here but to wait", Remedy::retry,
       "2026-11-23T05:01:00Z", "60"},
      {"tls", 400, "handshake failure", at_ca + "could not speak TLS with this machine: {}"},
      {"unauthorized", 403, "Account is not valid, has status \"deactivated\"",
       at_ca + "does not let us do this: {}; 'acme-agent account show' tells whether the account is still good"},
      {"unsupportedContact", 400, "contact method \"mailto\" is not supported",
       at_ca + "does not take this kind of contact: {}; leave --email out", operator_acts},
      {"unsupportedIdentifier", 400, "identifier type \"ip\" is not supported",
       at_ca +
           "does not issue for this kind of name: {}; leave the name out of --domain, or choose another --profile or "
           "--server",
       operator_acts},
      {.type = "userActionRequired",
       .status = 403,
       .detail = "Terms of service have changed",
       .sentence = at_ca + "wants somebody to act first: {}; see https://ca.example/terms; do what it asks for, then "
                           "renew",
       .remedy = operator_acts,
       .more = {{"instance", "https://ca.example/terms"}}},
  });
}

TEST_CASE("of several faults at once, each is told with its name, and what to do about each kind once") {
  const auto sub = [](const std::string& type, const std::string& detail, const std::string& name) {
    return json{{"type", "urn:ietf:params:acme:error:" + type},
                {"detail", detail},
                {"identifier", {{"type", "dns"}, {"value", name}}}};
  };
  check({
      {.type = "compound",
       .status = 403,
       .detail = "Errors during validation",
       .sentence = at_ca + "found several faults: {}; a.example: \"forbidden\" (caa); b.example: \"SERVFAIL\" (dns); "
                           "c.example: \"forbidden, too\" (caa); change or remove the CAA record, or choose another "
                           "--server; check that every name server of the domain answers",
       .more = {{"subproblems",
                 {sub("caa", "forbidden", "a.example"), sub("dns", "SERVFAIL", "b.example"),
                  sub("caa", "forbidden, too", "c.example")}}}},
      {.type = "compound",
       .status = 400,
       .detail = "Cannot issue for two names",
       .sentence = at_ca +
                   "found several faults: {}; a.example: \"by policy\" (rejectedIdentifier); leave the name out "
                   "of --domain, or choose another --profile or --server",
       .remedy = Remedy::ask_operator,
       .more = {{"subproblems", {sub("rejectedIdentifier", "by policy", "a.example")}}}},
      {.type = "malformed",
       .status = 400,
       .detail = "Some of the identifiers requested were rejected",
       .sentence = at_ca + "did not understand the request: {}; a.example: \"No valid IP\" (malformed); check --domain "
                           "and --server",
       .remedy = Remedy::ask_operator,
       .more = {{"subproblems", {sub("malformed", "No valid IP", "a.example")}}}},
  });
}

TEST_CASE("a challenge that failed is told with what to look at for a challenge of its kind") {
  const std::string no_connection = "the server could not connect to this machine: {}; ";
  const std::string no_name = "the server could not look up the name: {}; ";
  const std::string wrong = "the server found a wrong answer: {}; ";
  const std::string wrong_response = "the server found a wrong answer to its challenge: {}; ";
  const std::string no_tls = "the server could not speak TLS with this machine: {}; ";
  const std::string web_server =
      "check that no other web server or proxy answers for this name on port 80, over IPv4 and over IPv6";
  const std::string addresses = "check that the name exists and that its A and AAAA records point to this machine";
  const std::string port = "check that port 443 leads to this machine, also with ALPN \"acme-tls/1\" and over IPv6";
  const std::string record =
      "check that every name server of the domain shows the TXT record before the server is told to look";
  const std::string printed = "check that every name server of the domain shows the TXT record that was printed for it";
  const std::string caa =
      "a CAA record of the domain forbids this server to issue: {}; change or remove the CAA record, or choose another "
      "--server";
  struct Row {
    std::string challenge;
    std::string type;
    std::string detail;
    std::string sentence;
  };
  const std::vector<Row> rows = {
      {"http-01", "connection",
       "203.0.113.5: Fetching http://mydyn.example/.well-known/acme-challenge/abc: Timeout during connect (likely "
       "firewall problem)",
       no_connection + "check that port 80 is reachable from the internet and forwarded to this machine"},
      {"http-01", "dns", "DNS problem: NXDOMAIN looking up A for mydyn.example", no_name + addresses},
      {"http-01", "dns", "DNS problem: SERVFAIL looking up CAA for mydyn.example",
       no_name + "check that every name server of the domain answers"},
      {"http-01", "tls", "remote error: tls: handshake failure",
       no_tls + "check which program answers on port 443 and whether port 80 redirects to it"},
      {"http-01", "unauthorized",
       "203.0.113.5: Invalid response from http://mydyn.example/.well-known/acme-challenge/abc: 404",
       wrong + web_server},
      {"http-01", "unauthorized", "During secondary validation: 2001:db8::5: Invalid response", wrong + web_server},
      {"http-01", "incorrectResponse", "the key authorization is another's", wrong_response + web_server},
      {"http-01", "caa", "CAA record for mydyn.example prevents issuance", caa},
      {"tls-alpn-01", "connection", "203.0.113.5: Connection refused", no_connection + port},
      {"tls-alpn-01", "dns", "DNS problem: NXDOMAIN looking up A for mydyn.example", no_name + addresses},
      {"tls-alpn-01", "tls", "Cannot negotiate ALPN protocol \"acme-tls/1\"", no_tls + port},
      {"tls-alpn-01", "unauthorized", "Incorrect validation certificate", wrong + port},
      {"tls-alpn-01", "incorrectResponse", "another digest", wrong_response + port},
      {"dns-01", "dns", "DNS problem: NXDOMAIN looking up TXT for _acme-challenge.mydyn.example", no_name + record},
      {"dns-01", "unauthorized", "Incorrect TXT record \"abc\" found at _acme-challenge.mydyn.example", wrong + record},
      {"dns-01", "incorrectResponse", "another digest", wrong_response + record},
      {"dns-01", "caa", "CAA record for mydyn.example prevents issuance", caa},
      {"dns-persist-01", "dns", "NXDOMAIN looking up TXT for _validation-persist.mydyn.example", no_name + printed},
      {"dns-persist-01", "unauthorized", "no TXT record names this account", wrong + printed},
      {"dns-persist-01", "incorrectResponse", "no TXT record names this account", wrong_response + printed},
  };
  std::vector<Refused> table;
  for (const Row& row : rows)
    table.push_back(
        {.type = row.type, .status = 403, .detail = row.detail, .sentence = row.sentence, .challenge = row.challenge});
  check(table);
}

TEST_CASE("each limit that Let's Encrypt documents is told with its moment, and with what leads to it") {
  const std::string limit = "a rate limit of " + at_ca + "is reached: {}";
  const std::string text = ", retry after 2026-11-23 18:30:00 UTC: see https://letsencrypt.org/docs/rate-limits/";
  const std::string moment = "2026-11-23T18:30:00Z";
  struct Row {
    std::string what;
    std::string advice;
  };
  const std::vector<Row> rows = {
      {"too many new orders (300) from this account in the last 3h0m0s",
       "; find out what else orders so much with this account"},
      {"too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s",
       "; find out what else orders the same names: another machine, or one that loses its state folder"},
      {"too many certificates (5) already issued for this exact set of domains in the last 168h0m0s",
       "; find out what else orders the same names: another machine, or one that loses its state folder"},
      {"too many certificates (50) already issued for \"mydyn.example\" in the last 168h0m0s", ""},
      {"too many failed authorizations (5) for \"mydyn.example\" in the last 1h0m0s",
       "; mend first what made the validations fail"},
      {"too many new registrations (10) from this IP address in the last 3h0m0s",
       "; keep the state folder, so that its account is used again"},
      {"too many new registrations (500) from this /48 subnet of IPv6 addresses in the last 3h0m0s",
       "; keep the state folder, so that its account is used again"},
      {"Error creating new order :: too many currently pending authorizations: 300", ""},
  };
  std::vector<Refused> table;
  for (const Row& row : rows)
    table.push_back({"rateLimited", 429, row.what + text, limit + row.advice, Remedy::wait, moment});
  table.push_back({"rateLimited", 429, rows[0].what + text, limit + rows[0].advice, Remedy::wait,
                   "2026-11-23T05:00:36Z", "36"});  // the header is the truth
  table.push_back(
      {"rateLimited", 503, "Service busy; retry later.", limit, Remedy::wait, "2026-11-23T05:10:00Z", "600"});
  table.push_back({"", 503, "", at_ca + "refused with status 503", Remedy::wait, "2026-11-23T05:10:00Z", "600"});
  table.push_back({"", 502, "", at_ca + "refused with status 502"});
  check(table);
}

TEST_CASE("what a server does not offer at all is not blamed on a name") {
  check({{"rejectedIdentifier", 501, "The requested operation is not implemented", at_ca + "does not offer this: {}",
          Remedy::ask_operator}});
}

TEST_CASE("an account that Let's Encrypt has paused is told loudly, with the page that takes it up again") {
  check({{"rateLimited", 429,
          "Your account is temporarily prevented from requesting certificates for mydyn.example and possibly others. "
          "Please visit: https://portal.letsencrypt.org/sfe/v1/unpause?jwt=abc",
          "THE ACCOUNT IS PAUSED by " + at_ca.substr(0, at_ca.size() - 1) +
              ", and nothing is issued for these names until somebody visits the page named here, and then says "
              "'acme-agent "
              "renew NAME': {}",
          Remedy::ask_operator, "2026-11-23T06:00:00Z", "3600"}});
}

}  // namespace
}  // namespace acme_agent
