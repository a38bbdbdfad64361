#include <doctest/doctest.h>

#include <acme_agent/base/text.hpp>

using namespace acme_agent;

TEST_CASE("white space at both ends goes, that inside stays") {
  CHECK(trim(" \t a b \r\n") == "a b");
  CHECK(trim(" \n ") == "");
  CHECK(trim("") == "");
}

TEST_CASE("a list splits into its trimmed parts without the empty ones") {
  CHECK(split(" a, b ,,c,", ',') == std::vector<std::string>{"a", "b", "c"});
  CHECK(split("", ',').empty());
  CHECK(split("alone", ',') == std::vector<std::string>{"alone"});
}

TEST_CASE("parts are joined as people write them") {
  CHECK(join({}) == "");
  CHECK(join({"a"}) == "a");
  CHECK(join({"a", "b"}) == "a and b");
  CHECK(join({"a", "b", "c"}) == "a, b and c");
}

TEST_CASE("control characters cannot reach a terminal through printable text") {
  CHECK(printable("a\x1b[31mb\r\n\tc\x7f") == "a\\x1b[31mb\\x0d\\n\\x09c\\x7f");
  CHECK(printable(std::string_view("a\0b", 3)) == "a\\x00b");
  CHECK(printable("\xc2\x9b"
                  "31m") ==
        "\\xc2\\x9b"
        "31m");  // U+009B is CSI in one character.
}

TEST_CASE("good UTF-8 is kept and broken UTF-8 is escaped") {
  CHECK(printable("Grüße, 日本, 😀") == "Grüße, 日本, 😀");
  for (const char* broken : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                             "\xf5\x80\x80\x80", "\xf0\x80\x80\x80", "\xe2\x82", "\xff"}) {
    const std::string shown = printable(broken);
    CAPTURE(shown);
    CHECK(shown.size() == 4 * std::string_view(broken).size());
    CHECK(shown.starts_with("\\x"));
  }
}

TEST_CASE("long text is cut between characters and says so") {
  CHECK(printable(std::string(500, 'x')) == std::string(500, 'x'));
  CHECK(printable(std::string(501, 'x')) == std::string(500, 'x') + "…");
  CHECK(printable("ääää", 5) == "ää…");
  CHECK(printable("\x01\x01", 5) == "\\x01…");
}

TEST_CASE("hexadecimal is lower case and two digits a byte") {
  CHECK(to_hex(std::string_view("\x00\x0f\xff", 3)) == "000fff");
}

TEST_CASE("a mistyped word leads to the nearest known one") {
  const std::vector<std::string> known = {"domain", "deploy", "email", "for"};
  CHECK(nearest("domian", known) == "domain");
  CHECK(nearest("domains", known) == "domain");
  CHECK(nearest("emial", known) == "email");
  CHECK(nearest("deploy", known) == "deploy");
  CHECK(nearest("something", known) == "");
  CHECK(nearest("domainxyz", known) == "");
  CHECK(nearest("", known) == "");
  CHECK(nearest("xy", known) == "");
  CHECK(nearest("dom", {"for"}) == "");
}
