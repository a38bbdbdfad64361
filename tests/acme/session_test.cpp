#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <acme_agent/acme/session.hpp>

#include "support/fake_ca.hpp"
#include "support/fake_clock.hpp"

namespace acme_agent {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

const Identifier name{Identifier::Type::dns, "mydyn.example"};
const std::stop_token never;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A client and its server.
struct Talk {
  explicit Talk(KeyType type = KeyType::ec256) : key(PrivateKey::generate(type)) {}

  test::FakeClock clock;
  test::FakeCa ca{clock};
  std::unique_ptr<Transport> transport = ca.connect();
  PrivateKey key;
  Session session{*transport, clock, ca.directory_url(), key, ""};

  Order new_order() {
    session.new_account("", never);
    return session.new_order({{name}}, never);
  }

  Authorization authorization_of(const Order& order) {
    return session.authorization(order.authorizations.at(0), never);
  }

  static Challenge http01(const Authorization& authorization) {
    for (const Challenge& challenge : authorization.challenges) {
      if (challenge.type == "http-01") return challenge;
    }
    FAIL("no http-01 challenge");
    return {};
  }

  Order ready_order() {
    const Order order = new_order();
    session.respond(http01(authorization_of(order)), never);
    REQUIRE(authorization_of(order).status == Status::valid);
    return session.order(order.url, never).value;
  }

  CertificateChain issue() {
    const Order order = ready_order();
    const PrivateKey certificate_key = PrivateKey::generate(KeyType::ec256);
    const Order valid = session.finalize(order, make_csr(certificate_key, {name}), never).value;
    REQUIRE(valid.status == Status::valid);
    CertificateChain chain = session.download(valid, {}, never);
    check_issued({certificate_key, chain}, {name}, clock.now());
    return chain;
  }
};

Response answer(int status, const std::string& body) {
  Response response;
  response.status = status;
  response.body = body;
  return response;
}

/// The error of what must fail.
template <class Call>
Error error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  FAIL("nothing was thrown");
  return Error(Remedy::retry, "");
}

json good_order() {
  return {{"status", "pending"},
          {"identifiers", {{{"type", "dns"}, {"value", "mydyn.example"}}}},
          {"authorizations", {"https://ca.example/authorization/1"}},
          {"finalize", "https://ca.example/finalize/1"}};
}

json good_authorization() {
  return {
      {"status", "pending"},
      {"identifier", {{"type", "dns"}, {"value", "mydyn.example"}}},
      {"challenges",
       {{{"type", "http-01"}, {"url", "https://ca.example/challenge/1"}, {"status", "pending"}, {"token", "abc"}}}}};
}

TEST_CASE("an order goes its whole way, with every kind of account key") {
  for (const KeyType type : {KeyType::rsa2048, KeyType::ec256, KeyType::ec384}) {
    Talk t(type);
    std::string shown;
    t.ca.on_validate([&](const Identifier& identifier, const std::string& token) {
      CHECK(identifier == name);
      shown = token + "." + t.key.thumbprint();
      return shown;
    });
    const Order order = t.ready_order();
    CHECK(order.status == Status::ready);
    CHECK(order.identifiers == std::vector{name});
    CHECK(!shown.empty());
    t.issue();
    CHECK(t.ca.certificates_issued() == 1);
  }
}

TEST_CASE("keys whose coordinates begin with zeros are written in full length") {
  test::FakeClock clock;
  test::FakeCa ca(clock);
  const std::unique_ptr<Transport> transport = ca.connect();
  // One key in 128 has such a coordinate.
  for (int i = 0; i < 400; ++i) {
    Session(*transport, clock, ca.directory_url(), PrivateKey::generate(KeyType::ec256), "").new_account("", never);
  }
  CHECK(ca.accounts_created() == 400);
}

TEST_CASE("the account of a key is found again instead of made again") {
  Talk t;
  const std::string url = t.session.new_account("", never);
  CHECK(t.session.new_account("", never) == url);
  CHECK(Session(*t.transport, t.clock, t.ca.directory_url(), t.key, "").new_account("", never) == url);
  CHECK(t.ca.accounts_created() == 1);
}

TEST_CASE("a contact is sent only if there is one") {
  Talk t;
  t.session.new_account("", never);
  CHECK(json::parse(t.ca.requests().back().payload) == json{{"termsOfServiceAgreed", true}});
  t.session.new_account("me@mydyn.example", never);
  CHECK(json::parse(t.ca.requests().back().payload).at("contact") == json{"mailto:me@mydyn.example"});
}

TEST_CASE("an account that exists needs no new one, only its URL") {
  Talk t;
  const std::string url = t.session.new_account("", never);
  Session later(*t.transport, t.clock, t.ca.directory_url(), t.key, url);
  CHECK(later.new_order({{name}}, never).status == Status::pending);
}

TEST_CASE("one nonce is asked for, all others come with the answers") {
  Talk t;
  t.issue();
  CHECK(t.ca.count("/new-nonce") == 1);
  CHECK(t.ca.count("/directory") == 1);
}

TEST_CASE("a server that refuses good nonces is answered with the nonce of its refusal") {
  for (const int percent : {5, 20, 50, 90}) {
    CAPTURE(percent);
    Talk t;
    t.ca.reject_nonces(percent);
    for (int i = 0; i < 5; ++i) t.issue();
    CHECK(t.ca.certificates_issued() == 5);
    CHECK(t.ca.orders_created() == 5);
    CHECK(t.ca.count("/new-nonce") == 1);
  }
}

TEST_CASE("a server that refuses every nonce is given up after 30 seconds") {
  Talk t;
  t.ca.reject_nonces(100);
  t.ca.latency(700ms);
  const Duration before = t.clock.uptime();
  const Error error = error_of([&] { t.session.new_account("", never); });
  CHECK(contains(error.message(), "(badNonce)"));
  CHECK(error.remedy() == Remedy::retry);
  CHECK(t.clock.uptime() - before >= 30s);
  CHECK(t.clock.uptime() - before <= 33s);
}

TEST_CASE("a quick server that refuses every nonce is given up after a hundred tries") {
  Talk t;
  t.ca.reject_nonces(100);
  CHECK(contains(error_of([&] { t.session.new_account("", never); }).message(), "(badNonce)"));
  CHECK(t.ca.count("/new-account") == 100);
}

TEST_CASE("a nonce that is none is left aside, and another one asked for") {
  Talk t;
  const Order order = t.new_order();
  for (const std::string& nonce :
       {std::string("not a nonce"), std::string("a\"b"), std::string("=="), std::string(513, 'a'), std::string()}) {
    CAPTURE(nonce);
    Response response = answer(200, good_authorization().dump());
    response.headers.emplace("replay-nonce", nonce);
    t.ca.answer_next("/authorization/", response);
    t.authorization_of(order);
    const int before = t.ca.count("/new-nonce");
    t.session.order(order.url, never);
    CHECK(t.ca.count("/new-nonce") == before + 1);
  }
}

TEST_CASE("a server that gives no nonce is told apart from one that refuses") {
  Talk t;
  t.ca.answer_next("/new-nonce", answer(200, ""));
  CHECK(error_of([&] { t.session.new_account("", never); }).message() ==
        "the server at ca.example gave us no usable nonce");
}

TEST_CASE("a lost connection costs one request and its nonce, nothing more") {
  Talk t;
  const Order order = t.new_order();
  t.ca.lose_next_answer("/order/");
  CHECK_THROWS_AS(t.session.order(order.url, never), Error);
  t.ca.go_down(1);
  CHECK_THROWS_AS(t.session.order(order.url, never), Error);
  CHECK(t.session.order(order.url, never).value.status == Status::pending);
  for (const test::FakeCa::Exchange& exchange : t.ca.requests()) CHECK(!contains(exchange.response.body, "badNonce"));
}

TEST_CASE("a stop ends a request at once") {
  Talk t;
  std::stop_source source;
  source.request_stop();
  CHECK_THROWS_AS(t.session.new_account("", source.get_token()), Stopped);
  CHECK(t.ca.requests().empty());
}

TEST_CASE("the key authorization is the token and the thumbprint of the account key") {
  Talk t;
  const Challenge challenge = Talk::http01(t.authorization_of(t.new_order()));
  CHECK(t.session.key_authorization(challenge) == challenge.token + "." + t.key.thumbprint());
}

TEST_CASE("Retry-After is passed on, in seconds or as a date") {
  Talk t;
  t.ca.processing_polls(2);
  const Order order = t.ready_order();
  t.ca.retry_after("3");
  const auto polled = t.session.finalize(order, make_csr(PrivateKey::generate(KeyType::ec256), {name}), never);
  CHECK(polled.value.status == Status::processing);
  CHECK(polled.retry_after == t.clock.now() + 3s);
  t.ca.retry_after("Sun, 22 Nov 2026 00:01:00 GMT");
  CHECK(t.session.order(order.url, never).retry_after ==
        std::chrono::sys_days(std::chrono::year{2026} / 11 / 22) + 1min);
  CHECK(t.session.order(order.url, never).value.status == Status::valid);
}

TEST_CASE("a rate limit ends with the moment that the server named") {
  Talk t;
  t.session.new_account("", never);
  Response limited = answer(429, R"({"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many orders"})");
  limited.headers.emplace("retry-after", "3600");
  t.ca.answer_next("/new-order", limited);
  try {
    t.session.new_order({{name}}, never);
    FAIL("nothing was thrown");
  } catch (const ProblemError& error) {
    CHECK(error.problem().type == "rateLimited");
    CHECK(error.problem().status == 429);
    CHECK(error.remedy() == Remedy::wait);
    CHECK(error.not_before() == t.clock.now() + 1h);
  }
}

TEST_CASE("an order that the server no longer knows is a problem with its status and no type") {
  Talk t;
  const Order order = t.new_order();
  t.ca.forget_orders();
  try {
    t.session.order(order.url, never);
    FAIL("nothing was thrown");
  } catch (const ProblemError& error) {
    CHECK(error.problem().status == 404);
    CHECK(error.problem().type.empty());
    CHECK(error.remedy() == Remedy::retry);
  }
}

TEST_CASE("new terms of service are shown to the operator") {
  Talk t;
  Response changed = answer(403, R"({"type":"urn:ietf:params:acme:error:userActionRequired","detail":"new terms"})");
  changed.headers.emplace("link", "<https://ca.example/directory>;rel=\"index\"");
  changed.headers.emplace("link",
                          "<https://x.example/a>;rel=\"up\", <https://ca.example/terms,2>;rel=\"terms-of-service\"");
  t.ca.answer_next("/new-account", changed);
  const Error error = error_of([&] { t.session.new_account("", never); });
  CHECK(error.remedy() == Remedy::ask_operator);
  CHECK(contains(error.message(), "see https://ca.example/terms,2;"));
}

TEST_CASE("terms of service may be at any kind of URL") {
  Talk t;
  t.ca.answer_next("/directory", answer(200, R"({"newNonce":"https://a.example/n","newAccount":"https://a.example/a",
      "newOrder":"https://a.example/o","meta":{"termsOfService":"data:text/plain,Do%20as%20you%20like"},"new":[1]})"));
  CHECK(t.session.directory(never).terms_of_service == "data:text/plain,Do%20as%20you%20like");
  CHECK(t.session.directory(never).new_order == "https://a.example/o");
}

TEST_CASE("a directory that is none is a matter of --server") {
  const std::string urls = R"("newNonce":"https://a.example/n","newAccount":"https://a.example/a")";
  struct Fault {
    Response response;
    std::string why;
  };
  const std::vector<Fault> table = {
      {answer(404, "not found"), "(status 404)"},
      {answer(200, "<html>welcome</html>"), "no JSON object"},
      {answer(200, ""), "no JSON object"},
      {answer(200, "[]"), "no JSON object"},
      {answer(200, "{" + urls + "}"), "without 'newOrder'"},
      {answer(200, "{" + urls + R"(,"newOrder":7})"), "'newOrder' is no text"},
      {answer(200, "{" + urls + R"(,"newOrder":"http://a.example/o"})"), "no https URL: http://a.example/o"},
      {answer(200, "{" + urls + R"(,"newOrder":"https://a.example/\u000a"})"), "no https URL"},
      {answer(200, "{" + urls + R"(,"newOrder":"https://)" + std::string(3000, 'a') + "\"}"), "no https URL"},
  };
  for (const Fault& fault : table) {
    CAPTURE(fault.why);
    Talk t;
    t.ca.answer_next("/directory", fault.response);
    const Error error = error_of([&] { t.session.directory(never); });
    CHECK(error.remedy() == (fault.response.status == 404 ? Remedy::ask_operator : Remedy::retry));
    CHECK(error.message().starts_with("https://ca.example/directory does not answer like an ACME server ("));
    CHECK(contains(error.message(), fault.why));
    CHECK(error.message().ends_with("): check --server"));
    CHECK(error.message().size() < 400);
  }
  Talk t;
  Response moved = answer(301, "");
  moved.headers.emplace("location", "https://new.example/directory");
  t.ca.answer_next("/directory", moved);
  CHECK(contains(error_of([&] { t.session.directory(never); }).message(), "see https://new.example/directory"));
}

TEST_CASE("a directory that is busy is asked for again later") {
  Talk t;
  Response busy = answer(503, "<html>come back</html>");
  busy.headers.emplace("retry-after", "120");
  t.ca.answer_next("/directory", busy);
  const Error error = error_of([&] { t.session.directory(never); });
  CHECK(error.remedy() == Remedy::wait);
  CHECK(error.not_before() == t.clock.now() + 2min);
  t.ca.answer_next("/directory", answer(502, "<html>bad gateway</html>"));
  CHECK(error_of([&] { t.session.directory(never); }).remedy() == Remedy::retry);
  CHECK(t.session.directory(never).new_order == "https://ca.example/new-order");
}

TEST_CASE("a new account or order must say where it is") {
  for (const std::string& location : {std::string(), std::string("http://ca.example/account/1"),
                                      std::string("/account/1"), "https://" + std::string(4000, 'a')}) {
    CAPTURE(location);
    Talk t;
    Response response = answer(201, good_order().dump());
    if (!location.empty()) response.headers.emplace("location", location);
    t.ca.answer_next("/new-account", response);
    const Error account = error_of([&] { t.session.new_account("", never); });
    CHECK(account.remedy() == Remedy::retry);
    CHECK(contains(account.message(), "the server at ca.example did not say where our account is"));
    t.session.new_account("", never);
    t.ca.answer_next("/new-order", response);
    CHECK(contains(error_of([&] { t.session.new_order({{name}}, never); }).message(), "where the new order is"));
  }
}

TEST_CASE("nothing in the answer about an account is needed but its URL") {
  for (const char* body : {"", "{}", R"({"status":"valid","contact":null,"orders":5})", "<html>"}) {
    Talk t;
    Response response = answer(200, body);
    response.headers.emplace("location", "https://ca.example/account/77");
    t.ca.answer_next("/new-account", response);
    CHECK(t.session.new_account("", never) == "https://ca.example/account/77");
  }
}

TEST_CASE("an order for other names than those asked for is refused, one in other letters is not") {
  Talk t;
  t.session.new_account("", never);
  json order = good_order();
  const auto sent = [&] {
    Response response = answer(201, order.dump());
    response.headers.emplace("location", "https://ca.example/order/1");
    t.ca.answer_next("/new-order", response);
    return t.session.new_order({{name}}, never);
  };
  order["identifiers"] = {{{"type", "dns"}, {"value", "MyDyn.EXAMPLE"}}};
  CHECK(sent().identifiers == std::vector{name});
  order["identifiers"] = {{{"type", "dns"}, {"value", "other.example"}}};
  CHECK(contains(error_of(sent).message(), "made an order for other names"));
  order["identifiers"] = {{{"type", "dns"}, {"value", "mydyn.example"}}, {{"type", "dns"}, {"value", "b.example"}}};
  CHECK(contains(error_of(sent).message(), "made an order for other names"));
}

TEST_CASE("names may come back in any order, addresses too") {
  Talk t;
  t.session.new_account("", never);
  const std::vector<Identifier> names = {{Identifier::Type::dns, "c.example"},
                                         {Identifier::Type::dns, "*.a.example"},
                                         {Identifier::Type::ip, "2001:db8::1"},
                                         {Identifier::Type::dns, "b.example"}};
  CHECK(t.session.new_order({names}, never).authorizations.size() == 4);
}

TEST_CASE("the authorization of a wildcard is for the name with its star") {
  Talk t;
  t.session.new_account("", never);
  const Order order = t.session.new_order({{{Identifier::Type::dns, "*.mydyn.example"}}}, never);
  CHECK(t.authorization_of(order).identifier.value == "*.mydyn.example");
}

TEST_CASE("an answer about an order that is broken is a complaint about the server, never a crash") {
  struct Fault {
    std::string what;
    std::string body;
  };
  std::vector<Fault> table;
  const std::string good = good_order().dump();
  for (std::size_t length = 0; length < good.size(); ++length) {
    table.push_back({"that is no JSON object we could read", good.substr(0, length)});
  }
  const auto without = [](const char* member) {
    json order = good_order();
    order.erase(member);
    return order.dump();
  };
  const auto with = [](const char* member, const json& value) {
    json order = good_order();
    order[member] = value;
    return order.dump();
  };
  for (const char* member : {"status", "identifiers", "authorizations", "finalize"}) {
    table.push_back({"without '" + std::string(member) + "'", without(member)});
    for (const json& wrong : {json(nullptr), json(5), json(true), json::object()}) {
      table.push_back({"whose '" + std::string(member) + "' is no", with(member, wrong)});
    }
  }
  table.push_back({"in the unknown state 'sleeping'", with("status", "sleeping")});
  table.push_back({"without 'certificate'", with("status", "valid")});
  table.push_back({"with an identifier that is no name or address", with("identifiers", {5})});
  table.push_back({"with an identifier that is no name or address",
                   with("identifiers", {{{"type", "dns"}, {"value", "192.0.2.1"}}})});
  table.push_back({"with an identifier that is no name or address",
                   with("identifiers", {{{"type", "dns"}, {"value", "a b\ncd"}}})});
  table.push_back({"with an identifier that is no name or address",
                   with("identifiers", {{{"type", "mail"}, {"value", "mydyn.example"}}})});
  table.push_back({"whose 'authorizations' is no https URL", with("authorizations", {5})});
  table.push_back({"whose 'authorizations' is no https URL", with("authorizations", {"file:///etc/passwd"})});
  table.push_back({"with 1001 'authorizations'", with("authorizations", std::vector<int>(1001))});
  table.push_back({"whose 'finalize' is no https URL", with("finalize", "https://a.example/\x7f")});
  table.push_back({"that is no JSON object we could read", "\xff\xfe" + good});
  table.push_back({"that is no JSON object we could read", R"({"status":")"
                                                           "\xc3\x28"
                                                           R"("})"});
  table.push_back({"that is no JSON object we could read", std::string(200'000, '[')});
  table.push_back({"without 'status'", R"({"a":"\")" + std::string(1000, '[') + R"("})"});
  table.push_back({"that is no JSON object we could read",
                   R"({"a":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}"});
  table.push_back({"that is no JSON object we could read", R"({"a":")" + std::string(2 << 20, 'x') + R"("})"});

  Talk t;
  const Order order = t.new_order();
  for (const Fault& fault : table) {
    CAPTURE(fault.what);
    CAPTURE(fault.body.substr(0, 200));
    t.ca.answer_next("/order/", answer(200, fault.body));
    const Error error = error_of([&] { t.session.order(order.url, never); });
    CHECK(error.remedy() == Remedy::retry);
    CHECK(error.message().starts_with("the server at ca.example sent an order " + fault.what));
    CHECK(error.message().size() < 300);
  }
}

TEST_CASE("broken members of a problem document do not hide the refusal") {
  Talk t;
  const Order order = t.new_order();
  for (const char* body :
       {"", "{", "[]", "5", R"({"type":5})",
        R"({"type":"urn:ietf:params:acme:error:dns","subproblems":5,"status":"x"})",
        R"({"type":"urn:ietf:params:acme:error:dns","subproblems":[5,{"identifier":5},{"type":[]}],"status":1e99})",
        R"({"detail":"no type","status":-99999999999999999999})", "{\"detail\":\"\xff\"}"}) {
    CAPTURE(std::string(body));
    t.ca.answer_next("/order/", answer(403, body));
    try {
      t.session.order(order.url, never);
      FAIL("nothing was thrown");
    } catch (const ProblemError& error) {
      CHECK(error.problem().status == 403);
    }
  }
}

TEST_CASE("a problem with 100000 parts is cut short, and read in a moment") {
  Talk t;
  const Order order = t.new_order();
  json problem = {{"type", "urn:ietf:params:acme:error:compound"}, {"subproblems", json::array()}};
  for (int i = 0; i < 100'000; ++i) problem["subproblems"].push_back(json::object());
  t.ca.answer_next("/order/", answer(403, problem.dump()));
  try {
    t.session.order(order.url, never);
    FAIL("nothing was thrown");
  } catch (const ProblemError& error) {
    CHECK(error.problem().subproblems.size() == 100);
  }
}

TEST_CASE("why an order or a challenge failed is read with the names of its parts") {
  Talk t;
  const Order order = t.new_order();
  json failed = good_order();
  failed["status"] = "invalid";
  failed["error"] = {{"type", "urn:ietf:params:acme:error:compound"},
                     {"detail", "several"},
                     {"status", 403},
                     {"subproblems",
                      {{{"type", "urn:ietf:params:acme:error:caa"},
                        {"detail", "forbidden"},
                        {"identifier", {{"type", "dns"}, {"value", "A.example"}}}}}}};
  t.ca.answer_next("/order/", answer(200, failed.dump()));
  const std::optional<Problem> problem = t.session.order(order.url, never).value.error;
  REQUIRE(problem);
  CHECK(problem->type == "compound");
  CHECK(problem->status == 403);
  REQUIRE(problem->subproblems.size() == 1);
  CHECK(problem->subproblems[0].type == "caa");
  CHECK(problem->subproblems[0].identifier == Identifier{Identifier::Type::dns, "a.example"});

  t.ca.fail_validation(name.value, "connection", "connection refused");
  t.session.respond(Talk::http01(t.authorization_of(order)), never);
  const Authorization authorization = t.authorization_of(order);
  CHECK(authorization.status == Status::invalid);
  REQUIRE(Talk::http01(authorization).error);
  CHECK(Talk::http01(authorization).error->type == "connection");
}

TEST_CASE(
    "an answer to another request is not taken for that to a challenge, and one that nobody can read is let pass") {
  Talk t;
  t.session.new_account("", never);
  const Order order = t.session.new_order({{{Identifier::Type::dns, "a.example"}}, "", ""}, never);
  const Authorization authorization = t.authorization_of(order);
  const auto respond_with = [&](const std::string& body) {
    t.ca.answer_next("/challenge/", {.status = 200, .headers = {}, .body = body});
    t.session.respond(Talk::http01(authorization), never);
  };
  respond_with("");
  respond_with("<html>");
  respond_with(R"({"type":"http-01","status":"pending"})");
  for (const std::string body : {R"({"status":"pending","identifier":{}})", R"({"type":"dns-01"})"}) {
    try {
      respond_with(body);
      FAIL("it was taken");
    } catch (const Error& error) {
      CHECK(error.remedy() == Remedy::retry);
      CHECK(contains(error.message(), "ca.example answered for something else than the challenge http-01"));
    }
  }
}

TEST_CASE("challenges that nobody knows do not hurt") {
  Talk t;
  t.ca.extra_challenge(R"({"type":"dns-persist-01","url":"https://ca.example/c","status":"pending",
                           "issuer-domain-names":["ca.example"]})");
  t.ca.extra_challenge(R"({"type":"quantum-01","url":"https://ca.example/c","status":"entangled","token":"abc"})");
  t.ca.extra_challenge(R"({"type":5,"url":[],"status":{},"token":null,"error":"x"})");
  t.ca.extra_challenge(R"("no challenge at all")");
  const Authorization authorization = t.authorization_of(t.new_order());
  CHECK(authorization.status == Status::pending);
  int usable = 0;
  for (const Challenge& challenge : authorization.challenges) usable += challenge.token.empty() ? 0 : 1;
  CHECK(usable == 3);
  CHECK(!Talk::http01(authorization).token.empty());
}

TEST_CASE("a token that could leave a folder or a line is never used") {
  const auto token_read = [](const json& token) {
    Talk t;
    const Order order = t.new_order();
    json authorization = good_authorization();
    authorization["challenges"][0]["token"] = token;
    t.ca.answer_next("/authorization/", answer(200, authorization.dump()));
    return Talk::http01(t.authorization_of(order)).token;
  };
  for (const json& bad :
       {json("../../etc/passwd"), json("a/b"), json("a.b"), json("a b"), json("a\r\nb"), json("a=="), json("ä"),
        json(""), json(std::string("a\0b", 3)), json(std::string(129, 'a')), json(5), json(nullptr)}) {
    CAPTURE(bad.dump());
    CHECK(token_read(bad).empty());
  }
  for (const std::string& good : {std::string("a"), std::string("AZaz09-_"), std::string(128, 'a')}) {
    CHECK(token_read(good) == good);
  }
}

TEST_CASE("the issuers of dns-persist-01 are names, ten at most, and of no other challenge") {
  const auto issuers_read = [](const json& issuers, const std::string& type = "dns-persist-01") {
    Talk t;
    const Order order = t.new_order();
    json authorization = good_authorization();
    authorization["challenges"][0] = {{"type", type},
                                      {"url", "https://ca.example/challenge/1"},
                                      {"status", "pending"},
                                      {"issuer-domain-names", issuers}};
    t.ca.answer_next("/authorization/", answer(200, authorization.dump()));
    return t.authorization_of(order).challenges.at(0).issuer_domain_names;
  };
  CHECK(issuers_read({"CA.example", "ca.test"}) == std::vector<std::string>{"ca.example", "ca.test"});
  CHECK(issuers_read({"ca.example"}, "dns-01").empty());
  for (const json& bad :
       {json::array(), json("ca.example"), json({"ca.example", "a\" b"}), json({"ca.example", 5}),
        json({"*.ca.example"}), json({"192.0.2.1"}), json(std::vector<std::string>(11, "a.example"))}) {
    CAPTURE(bad.dump());
    CHECK(issuers_read(bad).empty());
  }
}

TEST_CASE("a directory may say what the server is called in CAA records") {
  Talk t;
  t.ca.answer_next("/directory", answer(200, R"({"newNonce":"https://a.example/n","newAccount":"https://a.example/a",
      "newOrder":"https://a.example/o","meta":{"caaIdentities":["ca.example"]}})"));
  CHECK(t.session.directory(never).caa_identities == std::vector<std::string>{"ca.example"});
}

TEST_CASE("a challenge at a URL that is none is never used") {
  Talk t;
  const Order order = t.new_order();
  json authorization = good_authorization();
  authorization["challenges"][0]["url"] = "http://ca.example/challenge/1";
  t.ca.answer_next("/authorization/", answer(200, authorization.dump()));
  CHECK(Talk::http01(t.authorization_of(order)).token.empty());
}

TEST_CASE("sessions on threads of their own do not disturb each other") {
  test::FakeClock clock;
  test::FakeCa ca(clock);
  ca.reject_nonces(20);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const std::unique_ptr<Transport> transport = ca.connect();
      Session session(*transport, clock, ca.directory_url(), PrivateKey::generate(KeyType::ec256), "");
      session.new_account("", never);
      for (int j = 0; j < 10; ++j) {
        const Order order = session.new_order({{name}}, never);
        session.respond(Talk::http01(session.authorization(order.authorizations.at(0), never)), never);
        session.authorization(order.authorizations.at(0), never);
        const std::string csr = make_csr(PrivateKey::generate(KeyType::ec256), {name});
        session.download(session.finalize(order, csr, never).value, {}, never);
      }
    });
  }
  threads.clear();
  CHECK(ca.certificates_issued() == 40);
}

TEST_CASE("a download with a private key in it is refused") {
  Talk t;
  t.ca.tamper_chain(
      [](const std::string& pem) { return pem + std::string(PrivateKey::generate(KeyType::ec256).to_pem().reveal()); });
  CHECK_THROWS_AS(t.issue(), Error);
}

}  // namespace

TEST_CASE("an order by a profile is for that profile, or none at all") {
  Talk t;
  t.ca.profiles({"classic", "shortlived"});
  t.session.new_account("", never);
  CHECK(t.session.directory(never).profiles == std::vector<std::string>{"classic", "shortlived"});
  CHECK(t.session.new_order({{name}}, never).profile == "classic");
  CHECK(t.session.new_order({{name}, "", "shortlived"}, never).profile == "shortlived");
  const Error unknown = error_of([&] { t.session.new_order({{name}, "", "tlsclient"}, never); });
  CHECK(contains(unknown.message(), "(invalidProfile); choose another --profile"));
  CHECK(unknown.remedy() == Remedy::ask_operator);

  t.ca.profiles({"classic"});  // meanwhile, and it says nothing against others
  Response other = answer(201, R"({"status":"pending","identifiers":[{"type":"dns","value":")" + name.value +
                                   R"("}],"authorizations":[],"finalize":"https://ca.example/f","profile":"classic"})");
  other.headers.emplace("location", "https://ca.example/order/x");
  t.ca.answer_next("/new-order", other);
  const Error ignored = error_of([&] { t.session.new_order({{name}, "", "shortlived"}, never); });
  CHECK(contains(ignored.message(), "was asked for the profile 'shortlived' and made an order by 'classic'"));
}

std::function<bool(const CertificateChain&)> ending_at(const std::string& top) {
  return [top](const CertificateChain& chain) { return chain.top() == top; };
}

TEST_CASE("of several chains the one with the wanted name at its top is taken, else the default") {
  Talk t;
  const Order order = t.ready_order();
  const Order valid = t.session.finalize(order, make_csr(PrivateKey::generate(KeyType::ec256), {name}), never).value;
  const CertificateChain chain = t.session.download(valid, {}, never);
  const auto with_links = [&](const std::vector<std::string>& links) {
    Response response = answer(200, chain.pem());
    for (const std::string& link : links) response.headers.emplace("link", link);
    return response;
  };
  // The same chain without its last certificate ends at that one's subject.
  std::vector<Certificate> fewer = chain.certificates();
  fewer.pop_back();
  REQUIRE_FALSE(fewer.empty());
  const CertificateChain shorter(fewer);
  const std::string url = "https://ca.example/certificate/alternate";
  const std::string broken = "https://ca.example/certificate/broken";

  SUBCASE("found, behind one that the server does not have") {
    t.ca.answer_next(valid.certificate,
                     with_links({"<https://ca.example/>;rel=\"index\"",
                                 "<" + broken + ">;rel=\"alternate\", <" + url + ">; rel=alternate"}));
    t.ca.answer_next("/certificate/broken", answer(404, ""));
    t.ca.answer_next("/certificate/alternate", answer(200, shorter.pem()));
    CHECK(t.session.download(valid, ending_at(shorter.top()), never) == shorter);
  }
  SUBCASE("none of that name") {
    t.ca.answer_next(valid.certificate, with_links({"<" + url + ">;rel=\"alternate\""}));
    t.ca.answer_next("/certificate/alternate", answer(200, shorter.pem()));
    CHECK(t.session.download(valid, ending_at("Another Root"), never) == chain);
  }
  SUBCASE("one with another leaf is none") {
    const CertificateChain other = Talk().issue();
    t.ca.answer_next(valid.certificate, with_links({"<" + url + ">;rel=\"alternate\""}));
    t.ca.answer_next("/certificate/alternate", answer(200, other.pem()));
    CHECK(t.session.download(
              valid, [&](const CertificateChain& offered) { return offered == other; }, never) == chain);
  }
  SUBCASE("a server that has trouble is asked again later") {
    t.ca.answer_next(valid.certificate, with_links({"<" + url + ">;rel=\"alternate\""}));
    t.ca.answer_next("/certificate/alternate", answer(503, ""));
    CHECK(error_of([&] { t.session.download(valid, ending_at(shorter.top()), never); }).remedy() == Remedy::retry);
  }
  SUBCASE("links that lead nowhere do no harm") {
    t.ca.answer_next(valid.certificate,
                     with_links({"rel=\"alternate\"", "<http://ca.example/x>;rel=\"alternate\"", "<>;rel=alternate"}));
    CHECK(t.session.download(valid, ending_at(shorter.top()), never) == chain);
  }
}

}  // namespace acme_agent
