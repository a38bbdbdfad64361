#include <doctest/doctest.h>

#include <acme_agent/dns/advice.hpp>

#include "support/fake_name_server.hpp"
#include "support/named.hpp"

namespace acme_agent {
namespace {

using namespace std::chrono_literals;
using Sentences = std::vector<std::string>;

const test::Named& named() {
  static const test::Named server(R"(
@ CAA 0 issue "letsencrypt.org"
lan A 192.168.1.5
nat A 100.64.0.7
public A 198.51.100.7
public AAAA 2001:db8::1
empty TXT "nothing else"
www CNAME public
caa A 198.51.100.7
caa CAA 0 issue "pki.goog"
caa CAA 0 issue "other.example; a=b"
nobody A 198.51.100.7
nobody CAA 0 issue ";"
method A 198.51.100.7
method CAA 0 issue "letsencrypt.org; validationmethods=dns-01,tls-alpn-01"
wild A 198.51.100.7
wild CAA 0 issue "letsencrypt.org"
wild CAA 0 issuewild "pki.goog"
strict A 198.51.100.7
strict CAA 128 future "x"
good A 198.51.100.7
good CAA 0 issue "pki.goog"
good CAA 0 issue "letsencrypt.org"
)");
  return server;
}

Sentences explain(const std::string& name, const std::string& challenge = "http-01") {
  return explain_names(Resolver({{"127.0.0.1", named().port()}}), {parse_identifier(name)}, challenge,
                       {"letsencrypt.org"}, {"127.0.0.1", "2001:db8::2"}, 5s, {});
}

TEST_CASE("addresses that are missing or that nobody reaches are told, where the server visits") {
  CHECK(explain("nowhere.mydyn.example") == Sentences{"there is no nowhere.mydyn.example in the DNS"});
  CHECK(explain("empty.mydyn.example") == Sentences{"empty.mydyn.example has no A or AAAA record"});
  CHECK(explain("lan.mydyn.example") ==
        Sentences{"the A record of lan.mydyn.example says 192.168.1.5, which only your own network can reach"});
  CHECK(explain("nat.mydyn.example").size() == 1);
  CHECK(
      explain("public.mydyn.example") ==
      Sentences{"the AAAA record of public.mydyn.example says 2001:db8::1, which is none of this machine's addresses"});
  CHECK(explain("www.mydyn.example").size() == 1);
  CHECK(explain("nowhere.mydyn.example", "dns-01").empty());
}

TEST_CASE("a CAA that keeps the server from issuing is told with the names that it allows") {
  CHECK(explain("caa.mydyn.example") ==
        Sentences{"the CAA of caa.mydyn.example allows only other.example and pki.goog, and not letsencrypt.org"});
  CHECK(explain("deep.below.caa.mydyn.example", "dns-01") == explain("caa.mydyn.example"));
  CHECK(explain("nobody.mydyn.example") ==
        Sentences{"the CAA of nobody.mydyn.example allows nobody, and not letsencrypt.org"});
  CHECK(explain("method.mydyn.example") ==
        Sentences{"the CAA of method.mydyn.example does not allow letsencrypt.org to validate by http-01"});
  CHECK(explain("method.mydyn.example", "dns-01").empty());
  CHECK(explain("wild.mydyn.example").empty());
  CHECK(explain("*.wild.mydyn.example", "dns-01") ==
        Sentences{"the CAA of wild.mydyn.example allows only pki.goog to issue wildcards, and not letsencrypt.org"});
  CHECK(explain("*.caa.mydyn.example", "dns-01").size() == 1);
  CHECK(explain("strict.mydyn.example") ==
        Sentences{"the CAA of strict.mydyn.example has a critical 'future', which no "
                  "certificate authority may pass over"});
  CHECK(explain("good.mydyn.example").empty());
}

TEST_CASE("an address is no name of the DNS") {
  CHECK(explain("192.0.2.1").empty());
}

TEST_CASE("a DNS that does not answer is told, and costs no more than the time given") {
  const test::FakeNameServer silent([](const test::Asked&) { return std::vector<std::string>{}; });
  const auto begun = std::chrono::steady_clock::now();
  const Sentences sentences =
      explain_names(Resolver({silent.endpoint()}), {parse_identifier("a.example"), parse_identifier("b.example")},
                    "http-01", {}, {}, 300ms, {});
  CHECK(std::chrono::steady_clock::now() - begun < 2s);
  REQUIRE_FALSE(sentences.empty());
  CHECK(sentences[0].starts_with("cannot look up the A of a.example: the name server "));
}

TEST_CASE("many names are not all looked at") {
  std::vector<Identifier> names;
  for (int i = 0; i < 100; ++i) names.push_back(parse_identifier("n" + std::to_string(i) + ".mydyn.example"));
  CHECK(explain_names(Resolver({{"127.0.0.1", named().port()}}), names, "http-01", {}, {}, 5s, {}).size() == 8);
}

}  // namespace
}  // namespace acme_agent
