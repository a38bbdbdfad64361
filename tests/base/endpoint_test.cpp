#include <doctest/doctest.h>

#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/base/error.hpp>

using namespace acme_agent;

TEST_CASE("an endpoint is a host and a port, IPv6 in brackets") {
  CHECK(parse_endpoint("localhost:8883") == Endpoint{"localhost", 8883});
  CHECK(parse_endpoint("127.0.0.1:1") == Endpoint{"127.0.0.1", 1});
  CHECK(parse_endpoint("[::1]:65535") == Endpoint{"::1", 65535});
  for (const char* text : {"localhost:8883", "[::1]:8883"}) CHECK(parse_endpoint(text).text() == text);
}

TEST_CASE("what is no endpoint is refused and quoted") {
  for (const char* text :
       {"", "localhost", ":80", "localhost:", "localhost:0", "localhost:65536", "localhost:-1", "localhost:80x",
        "::1:80", "[]:80", "http://localhost:80", "a b:80", "localhost: 80", "localhost:+80"}) {
    CAPTURE(text);
    try {
      parse_endpoint(text);
      FAIL("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.remedy() == Remedy::ask_operator);
      CHECK(error.message().find("'" + std::string(text) + "'") == 0);
    }
  }
}

TEST_CASE("a place to listen may leave the address out but not write a name") {
  CHECK(parse_listen_endpoint("80") == Endpoint{"", 80});
  CHECK(parse_listen_endpoint("80").text() == "80");
  CHECK(parse_listen_endpoint("[::]:80") == Endpoint{"::", 80});
  CHECK(parse_listen_endpoint("192.0.2.1:80") == Endpoint{"192.0.2.1", 80});
  for (const char* text : {"", "0", "localhost:80", ":80", "80 ", "65536"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_listen_endpoint(text), Error);
  }
}
