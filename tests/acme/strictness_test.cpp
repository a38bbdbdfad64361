#include <doctest/doctest.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <acme_agent/acme/session.hpp>
#include <acme_agent/base/base64url.hpp>
#include <acme_agent/crypto/digest.hpp>
#include <acme_agent/net/curl_transport.hpp>

#include "support/fake_ca.hpp"
#include "support/fake_clock.hpp"

// What a server must not take. One table for the CA of our tests and for the real thing: a client that passes the one
// passes the other.

namespace acme_agent {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

/// A request to be spoiled: at first it is as RFC 8555 wants it.
struct Message {
  std::string url;
  json header;
  std::string payload;
  PrivateKey key;
  std::string content_type = "application/jose+json";
  std::function<void(json&)> change_signed = [](json&) {};
};

struct Client {
  PrivateKey key;
  Session session;
  std::string account;

  Client(Transport& transport, Clock& clock, const std::string& directory_url, KeyType type = KeyType::ec256)
      : key(PrivateKey::generate(type)),
        session(transport, clock, directory_url, key, ""),
        account(session.new_account("", {})) {}
};

/// Two accounts at a server, and orders in the states that the table needs.
class Bench {
 public:
  Bench(Transport& the_transport, Clock& the_clock, const std::string& directory_url)
      : transport(the_transport),
        clock(the_clock),
        mine(transport, clock, directory_url),
        theirs(transport, clock, directory_url),
        directory(mine.session.directory({})),
        pending(mine.session.new_order({{{Identifier::Type::dns, "pending.strict.example"}}}, {})),
        ready(make_ready("ready.strict.example")) {}

  std::string fresh_nonce() {
    return transport.send({Request::Method::head, directory.new_nonce, {}, {}}, {}).header("replay-nonce").value();
  }

  Message message(const std::string& url, const std::string& payload) {
    return {url,
            {{"alg", mine.key.jws_algorithm()}, {"nonce", fresh_nonce()}, {"url", url}, {"kid", mine.account}},
            payload,
            mine.key};
  }

  Message message_of(const Client& client, const std::string& url, const std::string& payload) {
    return {url,
            {{"alg", client.key.jws_algorithm()}, {"nonce", fresh_nonce()}, {"url", url}, {"kid", client.account}},
            payload,
            client.key};
  }

  Message key_change_message(const Client& client, const PrivateKey& fresh,
                             const std::function<void(json& header, json& change)>& spoil) {
    json header = {{"alg", fresh.jws_algorithm()}, {"jwk", json::parse(fresh.jwk())}, {"url", directory.key_change}};
    json change = {{"account", client.account}, {"oldKey", json::parse(client.key.jwk())}};
    spoil(header, change);
    const std::string first = base64url_encode(header.dump());
    const std::string second = base64url_encode(change.dump());
    const json inner = {{"protected", first},
                        {"payload", second},
                        {"signature", base64url_encode(fresh.sign_jws(first + "." + second))}};
    return message_of(client, directory.key_change, inner.dump());
  }

  Message by_key(const PrivateKey& key, const std::string& url, const std::string& payload) {
    return {url,
            {{"alg", key.jws_algorithm()}, {"nonce", fresh_nonce()}, {"url", url}, {"jwk", json::parse(key.jwk())}},
            payload,
            key};
  }

  /// A certificate of ours, made once.
  const Certificate& issued() {
    if (issued_) return *issued_;
    const std::vector<Identifier> names = {{Identifier::Type::dns, "issued.strict.example"}};
    Order order = make_ready(names.front().value);
    order = mine.session.finalize(order, make_csr(certificate_key, names), {}).value;
    for (int i = 0; i < 600 && order.status != Status::valid; ++i) {
      clock.sleep_for(100ms, {});
      order = mine.session.order(order.url, {}).value;
    }
    return issued_.emplace(mine.session.download(order, {}, {}).leaf());
  }

  Message account_message(const PrivateKey& key, const json& payload) {
    const std::string& url = directory.new_account;
    return {url,
            {{"alg", key.jws_algorithm()}, {"nonce", fresh_nonce()}, {"url", url}, {"jwk", json::parse(key.jwk())}},
            payload.dump(),
            key};
  }

  Message finalize_message(const Order& order, const std::string& csr) {
    return message(order.finalize, json{{"csr", base64url_encode(csr)}}.dump());
  }

  Response send(const Message& message) {
    const std::string header = base64url_encode(message.header.dump());
    const std::string payload = base64url_encode(message.payload);
    json jws = {{"protected", header},
                {"payload", payload},
                {"signature", base64url_encode(message.key.sign_jws(header + "." + payload))}};
    message.change_signed(jws);
    return transport.send({Request::Method::post, message.url, jws.dump(), message.content_type}, {});
  }

  /// The first challenge of a pending order.
  Challenge challenge(const Order& order) {
    return mine.session.authorization(order.authorizations.at(0), {}).challenges.at(0);
  }

  Transport& transport;
  Clock& clock;
  Client mine;
  Client theirs;
  const Directory directory;
  const Order pending;
  const Order ready;
  const PrivateKey certificate_key = PrivateKey::generate(KeyType::ec256);

 private:
  std::optional<Certificate> issued_;

  Order make_ready(const std::string& name) {
    const Order order = mine.session.new_order({{{Identifier::Type::dns, name}}}, {});
    // The server may know from an earlier run that the name is ours.
    if (order.status == Status::pending) mine.session.respond(challenge(order), {});
    for (int i = 0; i < 600; ++i) {
      Order now = mine.session.order(order.url, {}).value;
      if (now.status == Status::ready) return now;
      mine.session.authorization(order.authorizations.at(0), {});
      clock.sleep_for(100ms, {});
    }
    throw std::runtime_error("the server does not validate: start it with PEBBLE_VA_ALWAYS_VALID=1");
  }
};

struct Case {
  std::string request;
  std::string verdict;  ///< Status and type of the problem; the status alone: an answer without a problem document.
  std::function<Response(Bench&)> send;
  std::string laxer = {};  ///< What Pebble 2.4 says instead, where it is behind its successors.
};

std::string order_of(const std::string& name) {
  return json{{"identifiers", {{{"type", "dns"}, {"value", name}}}}}.dump();
}

std::string csr_for(const std::string& name) {
  return make_csr(PrivateKey::generate(KeyType::ec256), {{Identifier::Type::dns, name}});
}

/// Sends a new order after `spoil` has been at it.
auto spoiled(std::function<void(Message&, Bench&)> spoil) {
  return [spoil = std::move(spoil)](Bench& bench) {
    Message message = bench.message(bench.directory.new_order, order_of("new.strict.example"));
    spoil(message, bench);
    return bench.send(message);
  };
}

auto as_get(std::function<std::string(Bench&)> url, std::string payload = "") {
  return [url = std::move(url), payload = std::move(payload)](Bench& bench) {
    return bench.send(bench.message(url(bench), payload));
  };
}

std::string revocation_of(const Certificate& certificate, int reason = 0) {
  return json{{"certificate", base64url_encode(certificate.der())}, {"reason", reason}}.dump();
}

/// A key change of our account that `spoil` has been at.
auto changed_key(std::function<void(json& header, json& change, Bench&)> spoil) {
  return [spoil = std::move(spoil)](Bench& bench) {
    const auto spoil_here = [&](json& header, json& change) { spoil(header, change, bench); };
    return bench.send(bench.key_change_message(bench.mine, PrivateKey::generate(KeyType::ec256), spoil_here));
  };
}

// The customer of whom both servers know: Pebble from its configuration.
const std::string external_kid = "kid-1";
const std::string external_key = "a key of thirty-two octets, yes.";

/// A new account with a binding that `spoil` has been at: its header, and the key of the MAC.
auto bound(std::function<void(json& header, std::string& mac_key, std::string& payload)> spoil) {
  return [spoil = std::move(spoil)](Bench& bench) {
    const PrivateKey key = PrivateKey::generate(KeyType::ec256);
    json header = {{"alg", "HS256"}, {"kid", external_kid}, {"url", bench.directory.new_account}};
    std::string mac_key = external_key;
    std::string payload = key.jwk();
    spoil(header, mac_key, payload);
    const std::string first = base64url_encode(header.dump());
    const std::string second = base64url_encode(payload);
    const std::string code = hmac(Hash::sha256, Secret(mac_key), first + "." + second);
    const json binding = {{"protected", first}, {"payload", second}, {"signature", base64url_encode(code)}};
    return bench.send(
        bench.account_message(key, {{"termsOfServiceAgreed", true}, {"externalAccountBinding", binding}}));
  };
}

const std::vector<Case> cases = {
    // The envelope (RFC 8555 6.2)
    {"nothing wrong", "201", spoiled([](Message&, Bench&) {})},
    {"a content type that is plain JSON", "415 malformed",
     spoiled([](Message& message, Bench&) { message.content_type = "application/json"; })},
    {"a content type with a parameter", "415 malformed",
     spoiled([](Message& message, Bench&) { message.content_type = "application/jose+json; charset=utf-8"; })},
    {"no JSON", "400 malformed",
     [](Bench& bench) {
       return bench.transport.send(
           {Request::Method::post, bench.directory.new_order, "no JSON", "application/jose+json"}, {});
     }},
    {"an empty body", "400 malformed",
     [](Bench& bench) {
       return bench.transport.send({Request::Method::post, bench.directory.new_order, "", "application/jose+json"}, {});
     }},
    {"an unprotected header", "400 malformed",
     spoiled([](Message& message, Bench&) {
       message.change_signed = [](json& jws) { jws["header"] = {{"kid", "x"}}; };
     })},
    {"a JWS that is not flattened", "400 malformed",
     spoiled([](Message& message, Bench&) {
       message.change_signed = [](json& jws) {
         jws["signatures"] = {{{"protected", jws["protected"]}, {"signature", jws["signature"]}}};
         jws.erase("protected");
         jws.erase("signature");
       };
     })},
    {"no signature", "400 malformed",
     spoiled([](Message& message, Bench&) {
       message.change_signed = [](json& jws) { jws.erase("signature"); };
     })},
    {"a signature by another key", "400 malformed",
     spoiled([](Message& message, Bench& bench) { message.key = bench.theirs.key; })},
    {"a payload changed after signing", "400 malformed",
     spoiled([](Message& message, Bench&) {
       message.change_signed = [](json& jws) { jws["payload"] = base64url_encode(order_of("changed.example")); };
     })},
    {"base64 with padding", "400 malformed",
     spoiled([](Message& message, Bench&) {
       message.change_signed = [](json& jws) { jws["payload"] = jws["payload"].get<std::string>() + "=="; };
     })},
    {"an algorithm that nobody knows", "400 badSignatureAlgorithm",
     spoiled([](Message& message, Bench&) { message.header["alg"] = "XX999"; }), "400 malformed"},
    {"the algorithm none", "400 badSignatureAlgorithm",
     spoiled([](Message& message, Bench&) { message.header["alg"] = "none"; }), "400 malformed"},
    {"an algorithm of another kind of key", "400 badSignatureAlgorithm",
     spoiled([](Message& message, Bench&) { message.header["alg"] = "RS256"; }), "400 malformed"},
    {"no algorithm", "400 badSignatureAlgorithm",
     spoiled([](Message& message, Bench&) { message.header.erase("alg"); }), "400 malformed"},

    // Nonce and URL (RFC 8555 6.4, 6.5)
    {"no url in the header", "400 malformed",
     spoiled([](Message& message, Bench&) { message.header.erase("url"); })},
    {"the url of another resource in the header", "400 malformed",
     spoiled([](Message& message, Bench& bench) { message.header["url"] = bench.directory.new_account; })},
    {"no nonce", "400 badNonce", spoiled([](Message& message, Bench&) { message.header.erase("nonce"); })},
    {"an empty nonce", "400 badNonce", spoiled([](Message& message, Bench&) { message.header["nonce"] = ""; })},
    {"a nonce that the server did not give", "400 badNonce",
     spoiled([](Message& message, Bench&) { message.header["nonce"] = "AAAAAAAAAAAAAAAAAAAAAA"; })},
    {"a nonce for the second time", "400 badNonce",
     spoiled([](Message& message, Bench& bench) {
       Message first = bench.message(bench.pending.url, "");
       first.header["nonce"] = message.header["nonce"];
       bench.send(first);
     })},

    // Who signs (RFC 8555 6.2)
    {"a jwk where the kid belongs", "400 malformed",
     spoiled([](Message& message, Bench& bench) {
       message.header.erase("kid");
       message.header["jwk"] = json::parse(bench.mine.key.jwk());
     })},
    {"a kid where the jwk belongs", "400 malformed",
     [](Bench& bench) {
       return bench.send(bench.message(bench.directory.new_account, R"({"termsOfServiceAgreed":true})"));
     }},
    {"kid and jwk", "400 malformed",
     spoiled(
         [](Message& message, Bench& bench) { message.header["jwk"] = json::parse(bench.mine.key.jwk()); })},
    {"kid and jwk for a new account", "400 malformed",
     [](Bench& bench) {
       Message message = bench.account_message(bench.mine.key, {{"termsOfServiceAgreed", true}});
       message.header["kid"] = bench.mine.account;
       return bench.send(message);
     }},
    {"neither kid nor jwk", "400 malformed",
     spoiled([](Message& message, Bench&) { message.header.erase("kid"); })},
    {"a kid that is no account URL", "400 malformed",
     spoiled([](Message& message, Bench&) { message.header["kid"] = "https://elsewhere.example/account/1"; })},
    {"the kid of an account that does not exist", "400 accountDoesNotExist",
     spoiled([](Message& message, Bench& bench) { message.header["kid"] = bench.mine.account + "0000"; })},
    {"the kid of another account", "400 malformed",
     spoiled([](Message& message, Bench& bench) { message.header["kid"] = bench.theirs.account; })},

    // Accounts (RFC 8555 7.3)
    {"a new account with an RSA key", "201",
     [](Bench& bench) {
       return bench.send(
           bench.account_message(PrivateKey::generate(KeyType::rsa2048), {{"termsOfServiceAgreed", true}}));
     }},
    {"a new account with a P-384 key", "201",
     [](Bench& bench) {
       return bench.send(bench.account_message(PrivateKey::generate(KeyType::ec384), {{"termsOfServiceAgreed", true}}));
     }},
    {"an account that exists", "200",
     [](Bench& bench) {
       return bench.send(bench.account_message(bench.mine.key, {{"termsOfServiceAgreed", true}}));
     }},
    {"a new account without agreeing", "403 userActionRequired",
     [](Bench& bench) {
       return bench.send(bench.account_message(PrivateKey::generate(KeyType::ec256), json::object()));
     }, "403 agreementRequired"},
    {"an account that shall exist and does not", "400 accountDoesNotExist",
     [](Bench& bench) {
       return bench.send(bench.account_message(PrivateKey::generate(KeyType::ec256), {{"onlyReturnExisting", true}}));
     }},
    {"a contact that is no mail address", "400 unsupportedContact",
     [](Bench& bench) {
       return bench.send(bench.account_message(PrivateKey::generate(KeyType::ec256),
                                               {{"termsOfServiceAgreed", true}, {"contact", {"tel:+123"}}}));
     }},
    {"a mail address without @", "400 invalidContact",
     [](Bench& bench) {
       return bench.send(bench.account_message(PrivateKey::generate(KeyType::ec256),
                                               {{"termsOfServiceAgreed", true}, {"contact", {"mailto:me"}}}));
     }},
    {"an account that is no JSON", "400 malformed",
     [](Bench& bench) {
       Message message = bench.account_message(PrivateKey::generate(KeyType::ec256), {});
       message.payload = "no JSON";
       return bench.send(message);
     }},

    // External account binding (RFC 8555 7.3.4)
    {"an account bound to a customer", "201", bound([](json&, std::string&, std::string&) {})},
    {"a binding to a customer who is not known", "403 unauthorized",
     bound([](json& header, std::string&, std::string&) { header["kid"] = "kid-2"; })},
    {"a binding without a kid", "400 malformed",
     bound([](json& header, std::string&, std::string&) { header.erase("kid"); })},
    {"a binding with another key", "403 unauthorized",
     bound([](json&, std::string& mac_key, std::string&) { mac_key = "another"; })},
    {"a binding for another URL", "400 malformed",
     bound([](json& header, std::string&, std::string&) { header["url"] = "https://elsewhere.example/"; })},
    {"a binding with a nonce", "400 malformed",
     bound([](json& header, std::string&, std::string&) { header["nonce"] = "AAAA"; })},
    {"a binding without an algorithm", "400 malformed",
     bound([](json& header, std::string&, std::string&) { header["alg"] = "none"; }),
     "400 badPublicKey"},
    {"a binding of another account's key", "400 badPublicKey",
     bound([](json&, std::string&, std::string& payload) { payload = PrivateKey::generate(KeyType::ec256).jwk(); })},

    // An account that exists (RFC 8555 7.3.2, 7.3.5, 7.3.6)
    {"our account", "200", as_get([](Bench& bench) { return bench.mine.account; })},
    {"the account of another", "403 unauthorized", as_get([](Bench& bench) { return bench.theirs.account; }), "200"},
    {"another contact", "200",
     as_get([](Bench& bench) { return bench.mine.account; }, R"({"contact":["mailto:a@mydyn.example"]})")},
    {"another contact that is no mail address", "400 unsupportedContact",
     as_get([](Bench& bench) { return bench.mine.account; }, R"({"contact":["tel:+123"]})")},
    {"an account that is to be valid again", "400 malformed",
     as_get([](Bench& bench) { return bench.mine.account; }, R"({"status":"valid"})")},
    {"an account that is to be happy", "400 malformed",
     as_get([](Bench& bench) { return bench.mine.account; }, R"({"status":"happy"})")},
    {"a key change without its inner JWS", "400 malformed",
     [](Bench& bench) { return bench.send(bench.message(bench.directory.key_change, "{}")); }},
    {"a key change for another account", "400 malformed",
     changed_key([](json&, json& change, Bench& bench) { change["account"] = bench.theirs.account; })},
    {"a key change without the old key", "400 malformed",
     changed_key([](json&, json& change, Bench&) { change.erase("oldKey"); })},
    {"a key change from another key", "400 malformed",
     changed_key([](json&, json& change, Bench& bench) { change["oldKey"] = json::parse(bench.theirs.key.jwk()); })},
    {"a key change for another URL", "400 malformed",
     changed_key([](json& header, json&, Bench& bench) { header["url"] = bench.directory.new_order; })},
    {"a key change whose inner JWS has a kid", "400 malformed",
     changed_key([](json& header, json&, Bench& bench) {
       header.erase("jwk");
       header["kid"] = bench.mine.account;
     })},
    {"a key change", "200",
     [](Bench& bench) {
       Client other(bench.transport, bench.clock, bench.directory.url);
       return bench.send(bench.key_change_message(other, PrivateKey::generate(KeyType::ec256), [](json&, json&) {}));
     }},
    {"an account that ends", "200",
     [](Bench& bench) {
       Client other(bench.transport, bench.clock, bench.directory.url);
       return bench.send(bench.message_of(other, other.account, R"({"status":"deactivated"})"));
     }},
    {"an account that has ended", "403 unauthorized",
     [](Bench& bench) {
       Client other(bench.transport, bench.clock, bench.directory.url);
       bench.send(bench.message_of(other, other.account, R"({"status":"deactivated"})"));
       return bench.send(bench.message_of(other, other.account, ""));
     }},

    // Orders (RFC 8555 7.4)
    {"an order without names", "400 malformed",
     spoiled([](Message& message, Bench&) { message.payload = R"({"identifiers":[]})"; })},
    {"an order of an unknown kind of name", "400 malformed",
     spoiled(
         [](Message& message, Bench&) { message.payload = R"({"identifiers":[{"type":"x","value":"a.example"}]})"; })},
    {"an order with a wildcard in the middle", "400 malformed",
     spoiled([](Message& message, Bench&) { message.payload = order_of("a.*.example"); })},
    {"an order with a space in the name", "400 malformed",
     spoiled([](Message& message, Bench&) { message.payload = order_of("a b.example"); })},
    {"an order with an address as a name", "400 malformed",
     spoiled([](Message& message, Bench&) { message.payload = order_of("192.0.2.1"); })},
    {"an order that is no JSON", "400 malformed",
     spoiled([](Message& message, Bench&) { message.payload = "no JSON"; })},
    {"a GET of an order", "405 malformed",
     [](Bench& bench) {
       return bench.transport.send({Request::Method::get, bench.pending.url, {}, {}}, {});
     }},
    {"an order as it should be asked for", "200", as_get([](Bench& bench) { return bench.pending.url; })},
    {"a payload for an order", "400 malformed", as_get([](Bench& bench) { return bench.pending.url; }, "{}")},
    {"an unknown order", "404", as_get([](Bench& bench) { return bench.pending.url + "x"; })},
    {"the order of another account", "403 unauthorized",
     [](Bench& bench) {
       Message message = bench.message(bench.pending.url, "");
       message.header["kid"] = bench.theirs.account;
       message.key = bench.theirs.key;
       return bench.send(message);
     }},

    // Authorizations and challenges (RFC 8555 7.5)
    {"an unknown authorization", "404", as_get([](Bench& bench) { return bench.pending.authorizations[0] + "x"; })},
    {"a payload for an authorization", "400 malformed",
     as_get([](Bench& bench) { return bench.pending.authorizations[0]; }, "{}")},
    {"the authorization of another account", "403 unauthorized",
     [](Bench& bench) {
       Message message = bench.message(bench.pending.authorizations[0], "");
       message.header["kid"] = bench.theirs.account;
       message.key = bench.theirs.key;
       return bench.send(message);
     }},
    {"an unknown challenge", "404",
     as_get([](Bench& bench) { return bench.challenge(bench.pending).url + "x"; }, "{}")},
    {"a challenge that is only asked for", "200",
     as_get([](Bench& bench) { return bench.challenge(bench.pending).url; })},
    {"a challenge of another account", "403 unauthorized",
     [](Bench& bench) {
       Message message = bench.message(bench.challenge(bench.pending).url, "{}");
       message.header["kid"] = bench.theirs.account;
       message.key = bench.theirs.key;
       return bench.send(message);
     }},
    {"a challenge answered as in the drafts", "400 malformed",
     as_get([](Bench& bench) { return bench.challenge(bench.pending).url; }, R"({"keyAuthorization":"x"})")},
    {"a challenge that is answered already", "400 malformed",
     as_get([](Bench& bench) { return bench.challenge(bench.ready).url; }, "{}")},

    // Finalize and download (RFC 8555 7.4, 7.4.2)
    {"finalizing too early", "403 orderNotReady",
     [](Bench& bench) {
       return bench.send(bench.finalize_message(bench.pending, csr_for("pending.strict.example")));
     }},
    {"finalizing an unknown order", "404 malformed",
     [](Bench& bench) {
       Order unknown = bench.ready;
       unknown.finalize += "x";
       return bench.send(bench.finalize_message(unknown, csr_for("ready.strict.example")));
     }},
    {"finalizing the order of another account", "403 unauthorized",
     [](Bench& bench) {
       Message message = bench.finalize_message(bench.ready, csr_for("ready.strict.example"));
       message.header["kid"] = bench.theirs.account;
       message.key = bench.theirs.key;
       return bench.send(message);
     }},
    {"a request for another name", "403 unauthorized",
     [](Bench& bench) { return bench.send(bench.finalize_message(bench.ready, csr_for("other.strict.example"))); }},
    {"a request for one name more", "403 unauthorized",
     [](Bench& bench) {
       const std::string csr =
           make_csr(PrivateKey::generate(KeyType::ec256),
                    {{Identifier::Type::dns, "more.strict.example"}, {Identifier::Type::dns, "ready.strict.example"}});
       return bench.send(bench.finalize_message(bench.ready, csr));
     }},
    {"a request that is no DER", "400 malformed",
     [](Bench& bench) { return bench.send(bench.finalize_message(bench.ready, "no DER")); }},
    {"a request that is no base64", "400 malformed",
     [](Bench& bench) { return bench.send(bench.message(bench.ready.finalize, R"({"csr":"+/=="})")); }},
    {"finalizing without JSON", "400 malformed",
     [](Bench& bench) { return bench.send(bench.message(bench.ready.finalize, "no JSON")); }},
    {"a request by the account's key", "400 badCSR",
     [](Bench& bench) {
       const std::string csr = make_csr(bench.mine.key, {{Identifier::Type::dns, "ready.strict.example"}});
       return bench.send(bench.finalize_message(bench.ready, csr));
     }},
    // Revocation (RFC 8555 7.6)
    {"a revocation without a certificate", "400 malformed",
     [](Bench& bench) { return bench.send(bench.message(bench.directory.revoke_cert, "{}")); }},
    {"a revocation of what is no base64", "400 malformed",
     [](Bench& bench) {
       return bench.send(bench.message(bench.directory.revoke_cert, R"({"certificate":"+/=="})"));
     }},
    {"a revocation of a certificate of somebody else's CA", "400 malformed",
     [](Bench& bench) {
       const Certificate stranger =
           make_placeholder(bench.theirs.key, {{Identifier::Type::dns, "a.example"}}, bench.clock.now(), 24h);
       return bench.send(bench.message(bench.directory.revoke_cert, revocation_of(stranger)));
     }},
    {"a revocation for a reason that does not exist", "400 badRevocationReason",
     [](Bench& bench) {
       return bench.send(bench.message(bench.directory.revoke_cert, revocation_of(bench.issued(), 7)));
     }},
    {"a revocation by another account", "403 unauthorized",
     [](Bench& bench) {
       return bench.send(bench.message_of(bench.theirs, bench.directory.revoke_cert, revocation_of(bench.issued())));
     }},
    {"a revocation by a key that is not the certificate's", "403 unauthorized",
     [](Bench& bench) {
       return bench.send(bench.by_key(PrivateKey::generate(KeyType::ec256), bench.directory.revoke_cert,
                                      revocation_of(bench.issued())));
     }},
    {"a revocation with kid and jwk", "400 malformed",
     [](Bench& bench) {
       Message message = bench.message(bench.directory.revoke_cert, revocation_of(bench.issued()));
       message.header["jwk"] = json::parse(bench.mine.key.jwk());
       return bench.send(message);
     }},
    {"a revocation by the certificate's key", "200",
     [](Bench& bench) {
       return bench.send(
           bench.by_key(bench.certificate_key, bench.directory.revoke_cert, revocation_of(bench.issued(), 1)));
     }},
    {"a revocation of what is revoked", "400 alreadyRevoked",
     [](Bench& bench) {
       return bench.send(bench.message(bench.directory.revoke_cert, revocation_of(bench.issued())));
     }},

    // Last, as Pebble 2.4 issues.
    {"a request whose signature is wrong", "400 badCSR",
     [](Bench& bench) {
       std::string csr = csr_for("ready.strict.example");
       csr.back() = static_cast<char>(csr.back() ^ 1);
       return bench.send(bench.finalize_message(bench.ready, csr));
     },
     "200"},
};

/// "400 malformed", or "404" without a problem document.
std::string verdict(const Response& response) {
  const std::string status = std::to_string(response.status);
  const json document = json::parse(response.body, nullptr, false);
  if (response.status < 400 || !document.is_object() || !document.contains("type")) return status;
  const std::string type = document["type"].get<std::string>();
  return status + " " + type.substr(type.rfind(':') + 1);
}

void judge_all(Bench& bench, bool real) {
  for (const Case& test : cases) {
    CAPTURE(test.request);
    std::string got = verdict(test.send(bench));
    // Pebble refuses good nonces now and then, to exercise clients.
    for (int i = 0; i < 50 && got != test.verdict && got == "400 badNonce"; ++i) got = verdict(test.send(bench));
    if (real && !test.laxer.empty() && got == test.laxer) continue;
    CHECK(got == test.verdict);
  }
}

TEST_CASE("the CA of the tests refuses what a strict server refuses, with the same status and type of problem") {
  test::FakeClock clock;
  test::FakeCa ca(clock);
  ca.external_account(external_kid, external_key);
  const std::unique_ptr<Transport> transport = ca.connect();
  Bench bench(*transport, clock, ca.directory_url());
  judge_all(bench, false);
}

TEST_CASE("a real Pebble passes the same verdicts" * doctest::skip(std::getenv("ACME_AGENT_TEST_PEBBLE") == nullptr)) {
  SystemClock clock;
  const char* bundle = std::getenv("ACME_AGENT_TEST_CA_BUNDLE");
  REQUIRE(bundle != nullptr);
  CurlTransport transport({.user_agent = "acme-agent-tests/1", .ca_bundle = bundle});
  Bench bench(transport, clock, std::getenv("ACME_AGENT_TEST_PEBBLE"));
  judge_all(bench, true);
}

}  // namespace
}  // namespace acme_agent
