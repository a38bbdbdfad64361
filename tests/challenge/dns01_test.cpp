#include <doctest/doctest.h>

#include <acme_agent/challenge/dns01.hpp>

using namespace acme_agent;

TEST_CASE("a wildcard and its base are proven by the same record") {
  CHECK(dns01_name({Identifier::Type::dns, "mydyn.example"}) == "_acme-challenge.mydyn.example");
  CHECK(dns01_name({Identifier::Type::dns, "*.mydyn.example"}) == "_acme-challenge.mydyn.example");
  CHECK(dns01_name({Identifier::Type::dns, "a.mydyn.example"}) == "_acme-challenge.a.mydyn.example");
}

TEST_CASE("the record holds the digest of the key authorization in base64url") {
  // printf token.thumbprint | openssl dgst -sha256 -binary | base64
  CHECK(dns01_value("token.thumbprint") == "61rBZ_4knHblO0MNoxFsXZ_eTFUHum0B6IVRbhvUn5I");
}
