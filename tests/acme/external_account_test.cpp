#include <doctest/doctest.h>

#include <acme_agent/acme/session.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>

#include "support/fake_ca.hpp"
#include "support/fake_clock.hpp"

namespace acme_agent {
namespace {

const std::string octets = "\xff\xef\xbe\x01 key";

std::string key_in(const std::string& text) {
  return std::string(read_external_account("kid-1", Secret(text)).key.reveal());
}

std::string complaint_about(const std::string& text) {
  try {
    read_external_account("kid-1", Secret(text));
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::ask_operator);
    return error.message();
  }
  return "accepted";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A server that makes accounts for customers only, and one of them.
struct Customer {
  test::FakeClock clock;
  test::FakeCa ca{clock};
  std::unique_ptr<Transport> transport = ca.connect();
  Session session{*transport, clock, ca.directory_url(), PrivateKey::generate(KeyType::ec256), ""};

  Customer() {
    ca.require_external_account();
    ca.external_account("kid-1", octets);
  }

  std::string complaint(const std::optional<ExternalAccount>& external) {
    try {
      session.new_account("", external, {});
    } catch (const Error& error) {
      CHECK(error.remedy() == Remedy::ask_operator);
      return error.message();
    }
    return "accepted";
  }
};

}  // namespace

TEST_CASE("the key is read in either alphabet, padded or not, whatever white space an editor has left") {
  for (const char* text : {"_---ASBrZXk", "_---ASBrZXk=", "/+++ASBrZXk=", "/+++ASBrZXk", " \t_---ASBrZXk=\r\n\n",
                           "_---\nASBr\nZXk\n", "hs256:_---ASBrZXk", "HS384: _---ASBrZXk"}) {
    CAPTURE(text);
    CHECK(key_in(text) == octets);
  }
}

TEST_CASE("the hash is SHA-256 unless the file says otherwise") {
  CHECK(read_external_account("k", Secret("AAAA")).hash == Hash::sha256);
  CHECK(read_external_account("k", Secret("hs384:AAAA")).hash == Hash::sha384);
  CHECK(read_external_account("k", Secret("HS512:AAAA\n")).hash == Hash::sha512);
}

TEST_CASE("a key that is none is refused without being shown") {
  for (const char* text : {"", " \n", "=", "AAAA====", "AAA!", "A", "hs384:", "c2Vj=cmV0"}) {
    CAPTURE(text);
    CHECK(complaint_about(text) == "the HMAC key is not in base64url: copy it as the CA shows it, nothing else");
  }
  CHECK(complaint_about("md5:c2VjcmV0") == "what stands before the ':' of the HMAC key is not hs256, hs384 or hs512");
}

TEST_CASE("an account is bound with every hash, once") {
  for (const Hash hash : {Hash::sha256, Hash::sha384, Hash::sha512}) {
    Customer t;
    const std::string url =
        t.session.new_account("me@mydyn.example", ExternalAccount{"kid-1", Secret(octets), hash}, {});
    CHECK(t.ca.accounts_created() == 1);
    CHECK(t.session.new_account("", std::nullopt, {}) == url);  // who is known needs no binding
  }
}

TEST_CASE("a server that wants a binding gets nothing made without one, and the operator hears how to get it") {
  Customer t;
  CHECK(t.complaint(std::nullopt) ==
        "the server at ca.example makes accounts only for customers that it knows already (external account binding): "
        "give --eab-kid and --eab-hmac-key-file, with what its operator gives out");
  CHECK(t.ca.accounts_created() == 0);
  CHECK(contains(how_to_bind("https://acme.zerossl.com/v2/DV90"), "https://app.zerossl.com/developer"));
  CHECK(contains(how_to_bind("https://dv.acme-v02.api.pki.goog/directory"),
                 "gcloud publicca external-account-keys create"));
}

TEST_CASE("a server that says only in its refusal that it wants a binding is understood, too") {
  Customer t;
  t.ca.answer_next("/directory",
                   Response{.status = 200, .headers = {}, .body = R"({"newNonce":"https://ca.example/new-nonce",
    "newAccount":"https://ca.example/new-account","newOrder":"https://ca.example/new-order"})"});
  CHECK(contains(t.complaint(std::nullopt), "give --eab-kid and --eab-hmac-key-file"));
}

TEST_CASE("a binding that the server does not take is the operator's to mend, and the key stays secret") {
  Customer t;
  const std::string wrong_key = t.complaint(ExternalAccount{"kid-1", Secret("another key"), Hash::sha256});
  CHECK(contains(wrong_key, "the server at ca.example does not take the external account binding: "));
  CHECK(contains(wrong_key, "check --eab-kid and --eab-hmac-key-file"));
  CHECK_FALSE(contains(wrong_key, "another key"));
  CHECK(contains(t.complaint(ExternalAccount{"kid-2", Secret(octets), Hash::sha256}), "no key of that id"));
}

}  // namespace acme_agent
