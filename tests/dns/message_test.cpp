#include <doctest/doctest.h>

#include <acme_agent/base/error.hpp>
#include <acme_agent/dns/message.hpp>

#include "support/fake_name_server.hpp"

namespace acme_agent {
namespace {

using test::wire_record;
using test::wire_response;
using test::wire_text;

const test::Asked asked{write_dns_query(0x1234, "mydyn.example", RecordType::txt), false};

TEST_CASE("a question asks for one name and type, with recursion and room for 1232 octets") {
  CHECK(write_dns_query(0x1234, "my.ex", RecordType::txt) ==
        std::string("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"
                    "\x02my\x02"
                    "ex\x00\x00\x10\x00\x01"
                    "\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00",
                    34));
}

TEST_CASE("every kind of record is read") {
  const auto response = read_dns_response(
      wire_response(asked, 0,
                    {wire_record("mydyn.example", RecordType::a, std::string("\x7f\0\0\1", 4)),
                     wire_record("mydyn.example", RecordType::aaaa,
                                 std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\1"),
                     wire_record("mydyn.example", RecordType::ns, write_dns_name("ns1.mydyn.example")),
                     wire_record("www.mydyn.example", RecordType::cname, write_dns_name("mydyn.example")),
                     wire_record("mydyn.example", RecordType::txt, wire_text("one") + wire_text(" and two")),
                     wire_record("mydyn.example", RecordType::caa, std::string("\x80\x05IssUeca.example; a=b", 22))},
                    {wire_record("mydyn.example", RecordType::soa, test::wire_soa())}));
  REQUIRE(response);
  CHECK(response->id == 0x1234);
  REQUIRE(response->answers.size() == 6);
  CHECK(response->answers[0] == DnsRecord{"mydyn.example", RecordType::a, "127.0.0.1", "", false});
  CHECK(response->answers[1].value == "2001:db8::1");
  CHECK(response->answers[2].value == "ns1.mydyn.example");
  CHECK(response->answers[3] == DnsRecord{"www.mydyn.example", RecordType::cname, "mydyn.example", "", false});
  CHECK(response->answers[4].value == "one and two");
  CHECK(response->answers[5] == DnsRecord{"mydyn.example", RecordType::caa, "ca.example; a=b", "issue", true});
  REQUIRE(response->authorities.size() == 1);
  CHECK(response->authorities[0].value == "ns1.mydyn.example");
}

TEST_CASE("a response that is cut off anywhere, or has more than it says, is none") {
  const std::string wire = wire_response(asked, 0, {wire_record("mydyn.example", RecordType::txt, wire_text("text"))},
                                         {wire_record("mydyn.example", RecordType::soa, test::wire_soa())});
  REQUIRE(read_dns_response(wire));
  for (std::size_t size = 0; size < wire.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(read_dns_response(wire.substr(0, size)));
  }
  CHECK_FALSE(read_dns_response(wire + "x"));
  CHECK_FALSE(read_dns_response(asked.query));  // a question is no response
}

TEST_CASE("pointers lead backwards, and so never in a circle") {
  const std::string header = wire_response(asked, 0, {"", ""}).substr(0, 12);
  const std::string question = asked.question();
  const std::string a = std::string("\0\x01\0\x01\0\0\0\0\0\x04\x7f\0\0\x01", 14);
  const auto read = [&](const std::string& name, const std::string& second) {
    return read_dns_response(header + question + name + a + second + a);
  };
  const std::string to_question("\xc0\x0c", 2);
  const auto good = read("\x03www" + to_question, to_question);
  REQUIRE(good);
  CHECK(good->answers[0].name == "www.mydyn.example");
  CHECK(good->answers[1].name == "mydyn.example");

  const auto here = static_cast<char>(12 + question.size());
  CHECK_FALSE(read(std::string("\xc0") + here, to_question));             // itself
  CHECK_FALSE(read(std::string("\x01w\xc0") + here, to_question));        // a circle
  CHECK_FALSE(read(std::string("\xc0") + char(here + 16), to_question));  // forwards
  CHECK_FALSE(read("\x40www", to_question));                              // a label type that does not exist
}

TEST_CASE("no name is longer than 255 octets, whatever pointers make of it") {
  std::string wire = wire_response(asked, 0, {"", "", "", "", ""}).substr(0, 12) + asked.question();
  const std::string a = std::string("\0\x01\0\x01\0\0\0\0\0\x04\x7f\0\0\x01", 14);
  std::size_t before = 12;
  for (int i = 0; i < 5; ++i) {
    const std::size_t here = wire.size();
    wire += "\x3f" + std::string(63, 'a') + write_dns_number(0xC000U | before, 2) + a;
    before = here;
  }
  CHECK_FALSE(read_dns_response(wire));
}

TEST_CASE("data that does not fill its record makes the whole response worthless") {
  const auto read = [](RecordType type, const std::string& data) {
    return read_dns_response(wire_response(asked, 0, {wire_record("mydyn.example", type, data)})).has_value();
  };
  CHECK_FALSE(read(RecordType::a, "abc"));
  CHECK_FALSE(read(RecordType::aaaa, "abcd"));
  CHECK_FALSE(read(RecordType::txt, "\x05text"));
  CHECK_FALSE(read(RecordType::ns, write_dns_name("ns1") + "x"));
  CHECK_FALSE(read(RecordType::soa, write_dns_name("ns1")));
  CHECK_FALSE(read(RecordType::caa, std::string("\0\x09issue", 7)));
  CHECK_FALSE(read(RecordType::caa, std::string("\0\0", 2)));
  CHECK(read(RecordType::txt, ""));
}

TEST_CASE("names are in lower case, and what is odd in them cannot be taken for a dot") {
  const auto response = read_dns_response(wire_response(asked, 0,
                                                        {wire_record("x", RecordType::ns,
                                                                     std::string("\x03"
                                                                                 "A.\x07\x02"
                                                                                 "Bc\0",
                                                                                 8))}));
  REQUIRE(response);
  CHECK(response->answers[0].value == "a\\046\\007.bc");
  CHECK(write_dns_name("a\\046\\007.bc") == std::string("\x03"
                                                        "a.\x07\x02"
                                                        "bc\0",
                                                        8));
}

TEST_CASE("what is no name is not sent") {
  CHECK(write_dns_name("") == std::string(1, '\0'));
  CHECK_NOTHROW(write_dns_name(std::string(63, 'a') + ".example"));
  for (const std::string& name : {std::string(64, 'a'), std::string("a..b"), std::string(".a"), std::string("a."),
                                  std::string("a\\4"), std::string("a\\999"), std::string("a\\")}) {
    CAPTURE(name);
    CHECK_THROWS_AS(write_dns_name(name), Error);
  }
  std::string longest;
  for (int i = 0; i < 127; ++i) longest += i == 0 ? "a" : ".a";
  CHECK(write_dns_name(longest).size() == 255);
  CHECK_THROWS_AS(write_dns_name(longest + ".a"), Error);
}

TEST_CASE("a zone holds itself and what is below it, not what only ends alike") {
  CHECK(in_zone("mydyn.example", "mydyn.example"));
  CHECK(in_zone("a.mydyn.example", "mydyn.example"));
  CHECK_FALSE(in_zone("notmydyn.example", "mydyn.example"));
  CHECK_FALSE(in_zone("example", "mydyn.example"));
  CHECK(in_zone("example", ""));
  CHECK(parent_of("a.b") == "b");
  CHECK(parent_of("b") == "");
  CHECK_FALSE(parent_of(""));
}

}  // namespace
}  // namespace acme_agent
