#include <doctest/doctest.h>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/name_constraint.hpp>

using namespace acme_agent;

TEST_CASE("a domain permits itself and all below it, and nothing that merely ends alike") {
  const std::vector<NameConstraint> lan = {parse_name_constraint("Home.Arpa")};
  CHECK(permitted(parse_identifier("home.arpa"), lan));
  CHECK(permitted(parse_identifier("a.broker.home.arpa"), lan));
  CHECK(permitted(parse_identifier("*.home.arpa"), lan));
  CHECK(permitted({Identifier::Type::dns, "Pow.HOME.arpa"}, lan));  // a device's name, as it was given
  CHECK_FALSE(permitted(parse_identifier("myhome.arpa"), lan));
  CHECK_FALSE(permitted(parse_identifier("arpa.example"), lan));
  CHECK_FALSE(permitted(parse_identifier("192.168.1.10"), lan));
  CHECK(permitted(parse_identifier("broker.lan"), {parse_name_constraint("lan")}));
}

TEST_CASE("a network permits the addresses in it, and no name and no address of the other family") {
  const std::vector<NameConstraint> lan = {parse_name_constraint("192.168.0.0/17"), parse_name_constraint("fd00::/9")};
  CHECK(permitted(parse_identifier("192.168.127.255"), lan));
  CHECK_FALSE(permitted(parse_identifier("192.168.128.0"), lan));
  CHECK(permitted(parse_identifier("fd7f::1"), lan));
  CHECK_FALSE(permitted(parse_identifier("fd80::1"), lan));
  CHECK_FALSE(permitted(parse_identifier("broker.lan"), lan));
  CHECK(permitted(parse_identifier("8.8.8.8"), {parse_name_constraint("0.0.0.0/0")}));
  CHECK_FALSE(permitted(parse_identifier("::1"), {parse_name_constraint("0.0.0.0/0")}));
}

TEST_CASE("without a constraint everything is permitted") {
  CHECK(permitted(parse_identifier("a.example"), {}));
  CHECK(permitted(parse_identifier("::1"), {}));
}

TEST_CASE("a constraint is written again as it was given") {
  for (const char* text : {"home.arpa", "lan", "192.168.0.0/16", "fd00::/8", "10.0.0.1/32"})
    CHECK(to_string(parse_name_constraint(text)) == text);
}

TEST_CASE("what is neither a domain nor a network is refused with its fault") {
  const auto says = [](const char* text, const char* why) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(parse_name_constraint(text),
                         (std::string("'") + text + "' is neither a domain nor a network: " + why).c_str(), Error);
  };
  says("192.168.0.0", "write a network, as in 192.168.0.0/16");
  says("fd00::", "write a network, as in 192.168.0.0/16");
  says("192.168.0.1/16", "the address has bits set behind the first 16");
  says("192.168.0.0/33", "behind the slash stands a count of bits, at most 32");
  says("192.168.0.0/", "behind the slash stands a count of bits, at most 32");
  says("fd00::/129", "behind the slash stands a count of bits, at most 128");
  says("lan/8", "what stands in front of the slash is not an address");
  for (const char* text : {"", ".", ".lan", "*.lan", "a b", "-a.lan", "a..b"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_name_constraint(text), Error);
  }
}
