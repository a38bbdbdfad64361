#include <doctest/doctest.h>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/identifier.hpp>

using namespace acme_agent;

namespace {

/// What the refusal of `text` says; empty if it is accepted.
std::string refusal(std::string_view text) {
  try {
    parse_identifier(text);
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::ask_operator);
    return error.message();
  }
  return {};
}

bool says(std::string_view text, std::string_view rule) {
  const std::string message = refusal(text);
  CAPTURE(message);
  const bool found = message.find(rule) != std::string::npos;
  CHECK(found);
  return found;
}

const Identifier example{Identifier::Type::dns, "mydyn.example"};

}  // namespace

TEST_CASE("upper case and one final dot are mended") {
  CHECK(parse_identifier("mydyn.example") == example);
  CHECK(parse_identifier("MyDyn.Example.") == example);
  CHECK(refusal("mydyn.example..") != "");
}

TEST_CASE("a star is taken as the whole first label only") {
  const Identifier wildcard = parse_identifier("*.Mydyn.Example");
  CHECK(wildcard == Identifier{Identifier::Type::dns, "*.mydyn.example"});
  CHECK(wildcard.wildcard());
  CHECK_FALSE(example.wildcard());
  CHECK(says("mqtt.*.example.org", "'*' may only be the first label"));
  CHECK(says("*.*.example.org", "'*' may only be the first label"));
  CHECK(says("a*.example.org", "letters, digits, hyphens"));
  CHECK(says("*.example", "two labels"));
  CHECK(refusal("*") != "");
  CHECK(refusal("*.1.2.3.4") != "");
}

TEST_CASE("names at the limits of DNS are taken and those beyond refused") {
  const std::string label(63, 'a');
  const std::string longest = label + '.' + label + '.' + label + '.' + std::string(61, 'b');
  CHECK(longest.size() == 253);
  CHECK(parse_identifier(longest).value == longest);
  CHECK(parse_identifier(longest + '.').value == longest);
  CHECK(says(longest + 'b', "253"));
  CHECK(says(label + "a.example", "63"));
}

TEST_CASE("a host of a network without a domain has a name of one label") {
  CHECK(parse_identifier("RaspberryPi") == Identifier{Identifier::Type::dns, "raspberrypi"});
}

TEST_CASE("names that no CA issues for are refused with the rule they break") {
  CHECK(says("", "empty"));
  CHECK(says(".", "empty"));
  CHECK(says("my..example", "empty"));
  CHECK(says(".my.example", "empty"));
  CHECK(says("my_dyn.example", "letters, digits, hyphens"));
  CHECK(says("https://my.example/", "letters, digits, hyphens"));
  CHECK(says("my.example:8883", "letters, digits, hyphens"));
  CHECK(says("-my.example", "hyphen"));
  CHECK(says("my-.example", "hyphen"));
  CHECK(says("my.example.7", "number"));
  CHECK(says("1.2.3.4.5", "number"));
  CHECK(says("256.1.1.1", "number"));
  CHECK(says(" my.example", "white space"));
  CHECK(says(std::string_view("1.2.3.4\0.example", 16), "control"));
}

TEST_CASE("a name in other letters is refused with the way to write it") {
  CHECK(says("müller.example", "A-label"));
  CHECK(says("müller.example", "'müller.example'"));
  CHECK(parse_identifier("xn--mller-kva.example").value == "xn--mller-kva.example");
}

TEST_CASE("addresses become canonical") {
  CHECK(parse_identifier("192.0.2.7") == Identifier{Identifier::Type::ip, "192.0.2.7"});
  CHECK(parse_identifier("2001:DB8:0:0:0:0:0:1") == Identifier{Identifier::Type::ip, "2001:db8::1"});
  CHECK(parse_identifier("::1").value == "::1");
  CHECK(refusal("[::1]") != "");
  CHECK(refusal("fe80::1%eth0") != "");
  CHECK(refusal("192.0.2.7.") != "");
  CHECK(refusal("192.0.2.007") != "");
}

TEST_CASE("a refusal quotes hostile text without passing it through") {
  CHECK(says("a\x1b[2J.example", "\\x1b[2J"));
  CHECK(refusal(std::string(100000, 'a') + ".example").size() < 1000);
}

TEST_CASE("the same names in another order are the same, one more or one twice is not") {
  const Identifier a{Identifier::Type::dns, "a.example"};
  const Identifier b{Identifier::Type::dns, "b.example"};
  CHECK(same_names({a, b}, {b, a}));
  CHECK_FALSE(same_names({a}, {a, b}));
  CHECK_FALSE(same_names({a, a}, {a}));
}
