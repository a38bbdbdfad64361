#include <doctest/doctest.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <set>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/free.hpp>
#include <acme_agent/crypto/issuing.hpp>

#include "support/verify.hpp"

using namespace acme_agent;
using acme_agent::test::verify;
using namespace std::chrono;
using namespace std::chrono_literals;

namespace {

const TimePoint now = sys_days{year{2026} / 11 / 22} + 10h + 59s;
constexpr Duration a_year = 365 * 24h;
const Validity twenty_years{now - 1h, now + 20 * a_year};
const Validity ninety_days{now - 1h, now + 90 * 24h};

Issuer root_of(KeyType type, const std::vector<NameConstraint>& constraints, const Validity& validity = twenty_years,
               const std::string& name = "a root") {
  const PrivateKey key = PrivateKey::generate(type);
  return {key, make_root(key, name, constraints, validity)};
}

Issuer below(const Issuer& root, Certifies certifies) {
  const PrivateKey key = PrivateKey::generate(root.key.type());
  return {key, issue_intermediate(root, key, certifies == Certifies::servers ? "servers" : "clients", certifies,
                                  {now - 1h, now + 5 * a_year})};
}

/// A root and one authority below it for servers and one for clients.
struct House {
  explicit House(KeyType type = KeyType::ec256, const std::vector<NameConstraint>& constraints = {})
      : root(root_of(type, constraints)),
        servers(below(root, Certifies::servers)),
        clients(below(root, Certifies::clients)) {}

  std::vector<Certificate> serve(const std::vector<std::string>& names, const Validity& validity = ninety_days) const {
    std::vector<Identifier> identifiers;
    for (const std::string& name : names) identifiers.push_back(parse_identifier(name));
    return {issue_server_certificate(servers, key, identifiers, validity), servers.certificate};
  }
  std::vector<Certificate> admit(const std::string& name, const Validity& validity = ninety_days) const {
    return {issue_client_certificate(clients, key, name, validity), clients.certificate};
  }

  Issuer root;
  Issuer servers;
  Issuer clients;
  PrivateKey key = PrivateKey::generate(KeyType::ec256);
};

bool critical(const Certificate& certificate, int nid) {
  const int at = X509_get_ext_by_NID(certificate.handle(), nid, -1);
  REQUIRE(at >= 0);
  return X509_EXTENSION_get_critical(X509_get_ext(certificate.handle(), at)) == 1;
}

}  // namespace

TEST_CASE("a strict client accepts a server below a root of either kind, by each of its names, until it ends") {
  for (const KeyType type : {KeyType::rsa2048, KeyType::ec256}) {
    CAPTURE(to_string(type));
    const House house(type);
    const auto chain = house.serve({"broker.lan", "192.168.1.10", "fd00::7"});
    const std::string roots = house.root.certificate.pem();
    for (const char* host : {"broker.lan", "192.168.1.10", "fd00::7"})
      CHECK(verify({roots, chain, now, true, host}) == "ok");
    CHECK(verify({roots, chain, now, true, "other.lan"}) != "ok");
    CHECK(verify({roots, chain, now + 91 * 24h}) == "certificate has expired");
    CHECK(verify({roots, chain, now, false}) != "ok");
    CHECK(chain.front().validity().not_after == now + 90 * 24h);
    CHECK(chain.front().subject() == "broker.lan");
    CHECK(chain.front().signature_algorithm() == (is_rsa(type) ? "RSA-SHA256" : "ecdsa-with-SHA256"));
  }
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("a strict broker accepts a device, and takes it for no server") {
  const House house;
  const auto chain = house.admit("sonoff-pow");
  CHECK(verify({house.root.certificate.pem(), chain, now, false}) == "ok");
  CHECK(verify({house.root.certificate.pem(), chain, now, true}) != "ok");
  CHECK(chain.front().subject() == "sonoff-pow");
  CHECK(chain.front().identifiers().empty());
}

TEST_CASE("an authority for servers cannot admit a device, and one for devices can vouch for no server") {
  const House house;
  const Certificate device = issue_client_certificate(house.servers, house.key, "sonoff-pow", ninety_days);
  CHECK(verify({house.root.certificate.pem(), {device, house.servers.certificate}, now, false}) != "ok");
  const Certificate server =
      issue_server_certificate(house.clients, house.key, {parse_identifier("a.lan")}, ninety_days);
  CHECK(verify({house.root.certificate.pem(), {server, house.clients.certificate}, now, true}) != "ok");
}

TEST_CASE("a device's certificate fits into the 928 bytes that Tasmota keeps for it, and is more than its least 256") {
  for (const KeyType type : {KeyType::rsa2048, KeyType::ec256}) {
    const std::size_t size = House(type).admit(std::string(64, 'x')).front().der().size();
    CAPTURE(size);
    CHECK(size > 256);
    CHECK(size <= 928);
  }
}

TEST_CASE("extensions are critical where RFC 5280 wants it, and key identifiers are there") {
  const House house(KeyType::ec256, {parse_name_constraint("lan")});
  CHECK(critical(house.root.certificate, NID_name_constraints));
  for (const Certificate& authority : {house.root.certificate, house.servers.certificate, house.clients.certificate}) {
    CHECK(critical(authority, NID_basic_constraints));
    CHECK(critical(authority, NID_key_usage));
    CHECK(X509_get_key_usage(authority.handle()) == (KU_KEY_CERT_SIGN | KU_CRL_SIGN));
    CHECK(X509_get0_subject_key_id(authority.handle()) != nullptr);
  }
  for (const Certificate& leaf : {house.serve({"a.lan"}).front(), house.admit("a").front()}) {
    CHECK(X509_check_ca(leaf.handle()) == 0);
    CHECK(critical(leaf, NID_key_usage));
    CHECK_FALSE(leaf.authority_key_id().empty());
  }
  CHECK_FALSE(critical(house.serve({"a.lan"}).front(), NID_subject_alt_name));
  CHECK(house.root.certificate.self_signed());
}

TEST_CASE("an RSA key of a server may also decipher, as TLS 1.2 without forward secrecy has it") {
  const House house;
  const Certificate leaf = issue_server_certificate(house.servers, PrivateKey::generate(KeyType::rsa2048),
                                                    {parse_identifier("a.lan")}, ninety_days);
  CHECK(X509_get_key_usage(leaf.handle()) == (KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT));
  CHECK(X509_get_key_usage(house.serve({"a.lan"}).front().handle()) == KU_DIGITAL_SIGNATURE);
}

TEST_CASE("a name too long for a common name makes the alternative names critical") {
  const House house;
  const std::string name = std::string(63, 'a') + ".lan";
  const auto chain = house.serve({name});
  CHECK(critical(chain.front(), NID_subject_alt_name));
  CHECK(verify({house.root.certificate.pem(), chain, now, true, name}) == "ok");
  CHECK(house.serve({name, "b.lan"}).front().subject() == "b.lan");
  CHECK(critical(house.serve({"192.168.1.10"}).front(), NID_subject_alt_name));
}

TEST_CASE("nothing begins before its issuer or ends after it") {
  const House house;
  const Validity parent = house.servers.certificate.validity();
  const Validity wanted{now - 100 * a_year, now + 100 * a_year};
  CHECK(house.serve({"a.lan"}, wanted).front().validity() == parent);
  CHECK(house.admit("a", wanted).front().validity() == house.clients.certificate.validity());
  const Certificate authority = issue_intermediate(house.root, house.key, "long", Certifies::servers, wanted);
  CHECK(authority.validity() == house.root.certificate.validity());
}

TEST_CASE("certificates that end after 2050 say so, and one of 2049 does as well") {
  const Issuer root = root_of(KeyType::ec256, {}, {now, sys_days{year{2060} / 1 / 1}});
  CHECK(root.certificate.validity().not_after == sys_days{year{2060} / 1 / 1});
  const ASN1_TIME* end = X509_get0_notAfter(root.certificate.handle());
  CHECK(ASN1_STRING_type(end) == V_ASN1_GENERALIZEDTIME);
  CHECK(ASN1_STRING_type(X509_get0_notBefore(root.certificate.handle())) == V_ASN1_UTCTIME);
}

TEST_CASE("who knows one root alone accepts what the other one of two has issued, in either direction of time") {
  const Issuer old_root = root_of(KeyType::ec256, {}, {now - 10 * a_year, now + 10 * a_year}, "old");
  const Issuer new_root = root_of(KeyType::rsa2048, {}, twenty_years, "new");
  const Issuer servers = below(new_root, Certifies::servers);
  const Certificate leaf =
      issue_server_certificate(servers, PrivateKey::generate(KeyType::ec256), {parse_identifier("a.lan")}, ninety_days);
  const Certificate cross = cross_sign(old_root, new_root.certificate);
  const std::vector<Certificate> served = {leaf, servers.certificate, cross};
  CHECK(verify({old_root.certificate.pem(), served, now, true, "a.lan"}) == "ok");
  CHECK(verify({new_root.certificate.pem(), served, now, true, "a.lan"}) == "ok");
  CHECK(verify({old_root.certificate.pem(), {leaf, servers.certificate}, now}) != "ok");
  CHECK(cross.subject() == "new");
  CHECK(cross.issuer() == "old");
  CHECK(cross.validity() == Validity{twenty_years.not_before, now + 10 * a_year});
}

TEST_CASE("a cross-signed root is bound by the constraints of the one that knows it") {
  const Issuer old_root = root_of(KeyType::ec256, {parse_name_constraint("lan")}, twenty_years, "old");
  const Issuer new_root = root_of(KeyType::ec256, {}, twenty_years, "new");
  const Issuer servers = below(new_root, Certifies::servers);
  const Certificate cross = cross_sign(old_root, new_root.certificate);
  for (const char* name : {"a.lan", "a.example"}) {
    const Certificate leaf =
        issue_server_certificate(servers, PrivateKey::generate(KeyType::ec256), {parse_identifier(name)}, ninety_days);
    const bool accepted = verify({old_root.certificate.pem(), {leaf, servers.certificate, cross}, now}) == "ok";
    CHECK(accepted == (std::string(name) == "a.lan"));
  }
}

TEST_CASE("constraints permit what they name, and nothing of a kind that they do not name") {
  const auto accepted = [](const std::vector<NameConstraint>& constraints, const std::string& name) {
    const House house(KeyType::ec256, constraints);
    return verify({house.root.certificate.pem(), house.serve({name}), now, true, name});
  };
  const std::vector<NameConstraint> domain = {parse_name_constraint("home.arpa")};
  CHECK(accepted(domain, "a.home.arpa") == "ok");
  CHECK(accepted(domain, "home.arpa") == "ok");
  CHECK(accepted(domain, "a.example") == "permitted subtree violation");
  CHECK(accepted(domain, "192.168.1.1") == "excluded subtree violation");
  CHECK(accepted(domain, "fd00::1") == "excluded subtree violation");
  const std::vector<NameConstraint> network = {parse_name_constraint("192.168.0.0/17")};
  CHECK(accepted(network, "192.168.127.1") == "ok");
  CHECK(accepted(network, "192.168.128.1") == "permitted subtree violation");
  CHECK(accepted(network, "fd00::1") == "permitted subtree violation");
  CHECK(accepted(network, "a.home.arpa") == "excluded subtree violation");
  const std::vector<NameConstraint> both = {domain.front(), parse_name_constraint("fd00::/9")};
  CHECK(accepted(both, "a.home.arpa") == "ok");
  CHECK(accepted(both, "fd7f::1") == "ok");
  CHECK(accepted(both, "fd80::1") == "permitted subtree violation");
}

TEST_CASE("what we permit and what OpenSSL permits is the same") {
  const std::vector<NameConstraint> constraints = {parse_name_constraint("lan"), parse_name_constraint("10.0.0.0/9")};
  const House house(KeyType::ec256, constraints);
  for (const char* name : {"a.lan", "*.b.lan", "lan.example", "xlan.a", "10.127.0.1", "10.128.0.1", "::1", "a.b.lan"}) {
    CAPTURE(name);
    const bool accepted = verify({house.root.certificate.pem(), house.serve({name}), now}) == "ok";
    CHECK(permitted(parse_identifier(name), constraints) == accepted);
  }
}

TEST_CASE("a device is admitted whatever the constraints on names, unless it is called like a host elsewhere") {
  const House house(KeyType::ec256, {parse_name_constraint("lan")});
  const std::string roots = house.root.certificate.pem();
  CHECK(verify({roots, house.admit("sonoff-pow"), now, false}) == "ok");
  CHECK(verify({roots, house.admit("sonoff.lan"), now, false}) == "ok");
  CHECK(verify({roots, house.admit("sonoff.kitchen"), now, false}) != "ok");
}

TEST_CASE("serial numbers are positive, of 128 bits, and never the same") {
  const House house;
  std::set<std::string> serials;
  for (int i = 0; i < 50; ++i) {
    const Certificate leaf = house.admit("a").front();
    CHECK(leaf.serial().size() == 32);
    CHECK((ASN1_STRING_type(X509_get0_serialNumber(leaf.handle())) & V_ASN1_NEG) == 0);
    serials.insert(leaf.serial());
  }
  CHECK(serials.size() == 50);
}

TEST_CASE("a request gives its key alone, and only if it was made with it") {
  const House house;
  const PrivateKey key = PrivateKey::generate(KeyType::rsa2048);
  const std::string request = make_csr(key, {parse_identifier("not-asked.example")});
  const Certificate device =
      issue_client_certificate(house.clients, PublicKey::from_csr(request), "sonoff-pow", ninety_days);
  CHECK(device.has_public_key_of(key));
  CHECK(device.subject() == "sonoff-pow");
  CHECK(device.identifiers().empty());
  std::string forged = request;
  forged.back() = static_cast<char>(forged.back() ^ 1);
  for (const std::string& none : {std::string(), forged, request + "x", std::string(70'000, '0')})
    CHECK_THROWS_WITH_AS(PublicKey::from_csr(none), "there is no sound certificate signing request in it", Error);
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("a request whose key spells out its curve gets a certificate that names it, which strict brokers accept") {
  const House house;
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  const std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>> verbose(EVP_PKEY_dup(key.handle()));
  REQUIRE(EVP_PKEY_set_utf8_string_param(verbose.get(), OSSL_PKEY_PARAM_EC_ENCODING, OSSL_PKEY_EC_ENCODING_EXPLICIT) ==
          1);
  const std::unique_ptr<X509_REQ, Free<X509_REQ_free>> request(X509_REQ_new());
  REQUIRE(X509_REQ_set_pubkey(request.get(), verbose.get()) == 1);
  REQUIRE(X509_REQ_sign(request.get(), verbose.get(), EVP_sha256()) > 0);
  std::string der(static_cast<std::size_t>(i2d_X509_REQ(request.get(), nullptr)), '\0');
  auto* to = reinterpret_cast<unsigned char*>(der.data());
  REQUIRE(i2d_X509_REQ(request.get(), &to) > 0);
  REQUIRE(der.size() > make_csr(key, {}).size());
  const Certificate device =
      issue_client_certificate(house.clients, PublicKey::from_csr(der), "sonoff-pow", ninety_days);
  CHECK(device.has_public_key_of(key));
  CHECK(verify({house.root.certificate.pem(), {device, house.clients.certificate}, now, false}) == "ok");
}

TEST_CASE("a public key outlives the private one that it is of") {
  const House house;
  std::optional<PublicKey> key;
  {
    const PrivateKey made = PrivateKey::generate(KeyType::ec256);
    key = made;
  }
  CHECK(issue_client_certificate(house.clients, *key, "a", ninety_days).key_type() == KeyType::ec256);
}
