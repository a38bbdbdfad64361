#include <doctest/doctest.h>

#include <acme_agent/base/base64url.hpp>

using namespace acme_agent;

TEST_CASE("base64 is padded, and has two characters of its own") {
  CHECK(base64_encode("") == "");
  CHECK(base64_encode("f") == "Zg==");
  CHECK(base64_encode("fo") == "Zm8=");
  CHECK(base64_encode("foo") == "Zm9v");
  CHECK(base64_encode("\xfb\xff") == "+/8=");
}

TEST_CASE("base64url text is the one of RFC 4648 10, without padding") {
  CHECK(base64url_encode("") == "");
  CHECK(base64url_encode("f") == "Zg");
  CHECK(base64url_encode("fo") == "Zm8");
  CHECK(base64url_encode("foo") == "Zm9v");
  CHECK(base64url_encode("foobar") == "Zm9vYmFy");
  CHECK(base64url_encode("\xfb\xff\xfe") == "-__-");
}

TEST_CASE("what was encoded comes back, whatever its bytes and length") {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    CHECK(base64url_decode(base64url_encode(bytes)) == bytes);
    bytes += static_cast<char>(i * 37);
  }
}

TEST_CASE("text that no encoder makes is refused") {
  for (const char* text : {"Zg==", "Zg=", "Z", "Zm9vY", "Zm+v", "Zm/v", "Zm 9v", "Zm9v\n", "Zh", "Zm9"}) {
    CAPTURE(text);
    CHECK_FALSE(base64url_decode(text));
  }
  CHECK_FALSE(base64url_decode(std::string_view("Zm\0v", 4)));
}
