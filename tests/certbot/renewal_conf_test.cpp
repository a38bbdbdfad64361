#include <doctest/doctest.h>

#include <acme_agent/base/error.hpp>
#include <acme_agent/certbot/renewal_conf.hpp>

using namespace acme_agent;

namespace {

using Words = std::vector<std::string>;

std::string refusal(std::string_view text) {
  try {
    parse_renewal_conf(text);
  } catch (const Error& error) {
    return error.message();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("what certbot 2.1 has written is read") {
  const RenewalConf conf = parse_renewal_conf(
      "# renew_before_expiry = 30 days\n"
      "version = 2.1.0\n"
      "cert = /etc/letsencrypt/live/three/cert.pem\n"
      "\n"
      "# Options used in the renewal process\n"
      "[renewalparams]\n"
      "reuse_key = True\r\n"
      "installer = None\n"
      "renew_hook = \"echo hi, there\"\n"
      "manual_auth_hook = '/hook a \"b c\"'\n"
      "preferred_chain = X \"Y\" Z   # a comment\n"
      "pref_challs = dns-01, http-01\n"
      "webroot_path = /var/www,\n"
      "[[webroot_map]]\n"
      "a.mydyn.example = /var/www\n"
      "[else]\n"
      "server = none\n"
      "[[webroot_map]]\n"
      "b.mydyn.example = /nowhere");
  CHECK(conf.top.size() == 2);
  CHECK(conf.param("reuse_key") == "True");
  CHECK(conf.param("installer").empty());
  CHECK(conf.param("renew_hook") == "echo hi, there");
  CHECK(conf.param("manual_auth_hook") == "/hook a \"b c\"");
  CHECK(conf.param("preferred_chain") == "X \"Y\" Z");
  CHECK(conf.params.at("pref_challs") == Words{"dns-01", "http-01"});
  CHECK(conf.params.at("webroot_path") == Words{"/var/www"});
  CHECK(conf.param("server").empty());
  CHECK(conf.webroots == RenewalConf::Values{{"a.mydyn.example", {"/var/www"}}});
}

TEST_CASE("rubbish is refused with its line") {
  CHECK(refusal("version = 1\nnonsense\n") == "line 2: it is not of the form key = value");
  CHECK(refusal("= 1") == "line 1: it is not of the form key = value");
  CHECK(refusal("[renewalparams") == "line 1: a section's name does not end");
  CHECK(refusal("[[a]") == "line 1: a section's name does not end");
  CHECK(refusal("a = 1\na = 2") == "line 2: 'a' is given twice");
  CHECK(refusal("a = \"1") == "line 1: a value does not end in the line where it begins");
  CHECK(refusal("a = '''1\n2'''") == "line 1: a value does not end in the line where it begins");
  CHECK(refusal("a = \"1\" 2") == "line 1: something follows behind the quotes");
  CHECK(refusal("a = \x1b[31m") == "line 1: there are control characters in it");
  CHECK(refusal(std::string_view("a\0b = 1", 7)) == "line 1: there are control characters in it");
  CHECK(refusal("") == "accepted");
}
