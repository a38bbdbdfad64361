#include <doctest/doctest.h>

#include <acme_agent/dns/update_server.hpp>

#include "support/fake_clock.hpp"
#include "support/fake_name_server.hpp"
#include "support/named.hpp"

namespace acme_agent {
namespace {

using namespace std::chrono_literals;
using test::Asked;
using test::FakeNameServer;
using test::Named;

constexpr const char* challenge = "_acme-challenge.mydyn.example";

TsigKey key(const std::string& name = "acme-key", const std::string& algorithm = "hmac-sha256",
            const std::string& secret = Named::secret) {
  return parse_tsig_key(algorithm + ":" + name + ":" + secret);
}

struct Updating {
  Named named{"www CNAME elsewhere.example.\n_acme-challenge.alias CNAME _acme-challenge\n"};
  SystemClock clock;
  const std::function<Resolver()> nobody = [] { return Resolver({{"127.0.0.1", test::free_dns_port()}}); };

  UpdateServer server(std::optional<TsigKey> with = key()) {
    return UpdateServer({"127.0.0.1", named.port()}, std::move(with), nobody, clock, named.port());
  }

  std::vector<std::string> shown(const std::string& name = challenge) {
    std::vector<std::string> texts;
    const Resolver resolver({{"127.0.0.1", named.port()}});
    for (const DnsRecord& record : resolver.ask(name, RecordType::txt, 5s, {}).records) texts.push_back(record.value);
    std::sort(texts.begin(), texts.end());
    return texts;
  }

  std::string refusal(const UpdateServer& by, const std::string& name = challenge) {
    try {
      by.change_txt(by.place_of(name, {}), "value", TxtChange::add, {});
      return "done";
    } catch (const Error& error) {
      CHECK(shown().empty());
      return error.message();
    }
  }
};

TEST_CASE("texts come and go one by one, those of others stay") {
  Updating t;
  const UpdateServer server = t.server();
  const UpdateServer::Place place = server.place_of(challenge, {});
  CHECK(place.zone == "mydyn.example");
  server.change_txt(place, "first", TxtChange::add, {});
  server.change_txt(place, "second", TxtChange::add, {});
  server.change_txt(place, "second", TxtChange::add, {});
  CHECK(t.shown() == std::vector<std::string>{"first", "second"});
  server.change_txt(place, "first", TxtChange::remove, {});
  CHECK(t.shown() == std::vector<std::string>{"second"});
  server.change_txt(place, "second", TxtChange::remove, {});
  server.change_txt(place, "second", TxtChange::remove, {});
  CHECK(t.shown().empty());
}

TEST_CASE("keys for SHA-512 sign as well") {
  Updating t;
  const UpdateServer server = t.server(key("long-key", "hmac-sha512"));
  server.change_txt(server.place_of(challenge, {}), "text", TxtChange::add, {});
  CHECK(t.shown() == std::vector<std::string>{"text"});
}

TEST_CASE("a CNAME leads to where the record goes") {
  Updating t;
  const UpdateServer server = t.server();
  CHECK(server.place_of("_acme-challenge.alias.mydyn.example", {}).name == challenge);
}

TEST_CASE("a CNAME that others know leads into a zone of the primary") {
  Updating t;
  const FakeNameServer others([](const Asked& asked) {
    return std::vector{test::wire_response(
        asked, 0, {test::wire_record("_acme-challenge.other.example", RecordType::cname, write_dns_name(challenge))},
        {test::wire_record("mydyn.example", RecordType::soa, test::wire_soa())})};
  });
  const UpdateServer server(
      {"127.0.0.1", t.named.port()}, key(), [&] { return Resolver({others.endpoint()}); }, t.clock);
  const UpdateServer::Place place = server.place_of("_acme-challenge.other.example", {});
  CHECK(place.name == challenge);
  CHECK(place.zone == "mydyn.example");
}

TEST_CASE("what the primary refuses is told in words, with what to do") {
  Updating t;
  const std::string where = "the name server 127.0.0.1:" + std::to_string(t.named.port());
  const std::string did_not = where + " did not change _acme-challenge.mydyn.example: ";
  SUBCASE("another secret") {
    CHECK(t.refusal(t.server(key("acme-key", "hmac-sha256", "b3RoZXI="))) ==
          did_not +
              "it knows the key 'acme-key' with another secret (BADSIG): give --dns-tsig-file the file that it has");
  }
  SUBCASE("an unknown key") {
    CHECK(t.refusal(t.server(key("unknown-key"))) ==
          did_not +
              "it does not know the key 'unknown-key' for hmac-sha256 (BADKEY): give the key the name and the "
              "algorithm that it has there");
  }
  SUBCASE("another algorithm") {
    CHECK(t.refusal(t.server(key("acme-key", "hmac-sha512"))).find("for hmac-sha512 (BADKEY)") != std::string::npos);
  }
  SUBCASE("a key without the right") {
    CHECK(t.refusal(t.server(key("other-key"))) ==
          did_not +
              "it refuses (REFUSED): allow the key 'other-key' in the zone mydyn.example there (allow-update or "
              "update-policy of BIND, acl of Knot)");
  }
  SUBCASE("no key") {
    CHECK(t.refusal(t.server(std::nullopt)).find("allow updates without a key, or give --dns-tsig-file") !=
          std::string::npos);
  }
  SUBCASE("a zone that it does not have") {
    CHECK(
        t.refusal(t.server(), "_acme-challenge.other.example") ==
        "cannot find the zone of _acme-challenge.other.example at the name server of --dns-update, which has to be its "
        "primary: cannot look up the SOA of _acme-challenge.other.example: " +
            where + " says REFUSED");
  }
}

TEST_CASE("a clock that is wrong is told, with both times") {
  Updating t;
  test::FakeClock clock;  // a day of its own
  const UpdateServer server({"127.0.0.1", t.named.port()}, key(), t.nobody, clock);
  clock.set(t.clock.now() + 2h);
  const std::string refusal = t.refusal(server);
  CHECK(refusal.find("its clock and ours are more than five minutes apart (BADTIME): its clock says 20") !=
        std::string::npos);
  CHECK(refusal.find("; set the one that is wrong") != std::string::npos);
}

TEST_CASE("who does not know the key cannot say that it is done") {
  SystemClock clock;
  std::function<std::string(const Asked&)> answer;
  const FakeNameServer impostor([&](const Asked& asked) { return std::vector{answer(asked)}; });
  const UpdateServer server(
      impostor.endpoint(), key(), [&] { return Resolver({impostor.endpoint()}); }, clock);
  const auto update = [&] {
    try {
      server.change_txt({challenge, "mydyn.example"}, "text", TxtChange::add, {});
      return std::string("done");
    } catch (const Error& error) {
      return error.message();
    }
  };
  const auto update_response = [](const Asked& asked) {
    return asked.id() + write_dns_number(0xA800, 2) + std::string(8, '\0');
  };
  answer = update_response;
  CHECK(update() == "the name server " + impostor.endpoint().text() +
                        " says that it is done, but its answer is not signed: is it the one that has the key?");
  // The request's own signature, sent back.
  answer = [&](const Asked& asked) {
    const std::string name = write_dns_name("acme-key") + write_dns_number(250, 2);
    std::string wire = update_response(asked) + asked.query.substr(asked.query.rfind(name));
    wire[11] = 1;
    return wire;
  };
  CHECK(update().find("but its answer has a wrong signature") != std::string::npos);
  answer = [](const Asked&) { return std::string("nonsense"); };
  CHECK(update().find("sent what is no answer to the request") != std::string::npos);
}

TEST_CASE("a primary that hangs up is told") {
  SystemClock clock;
  const FakeNameServer silent([](const Asked&) { return std::vector<std::string>{}; });
  const UpdateServer server(
      silent.endpoint(), key(), [&] { return Resolver({silent.endpoint()}); }, clock);
  CHECK_THROWS_WITH_AS(
      server.change_txt({challenge, "mydyn.example"}, "text", TxtChange::add, {}),
      ("the name server " + silent.endpoint().text() + " closed the connection without an answer").c_str(), Error);
}

TEST_CASE("all servers of the zone are known") {
  Updating t;
  const UpdateServer server = t.server();
  const auto servers = server.servers_of(server.place_of(challenge, {}), {});
  REQUIRE(servers.size() == 1);
  CHECK_FALSE(shows_txt(servers[0], challenge, "text", 2s, {}));
  server.change_txt(server.place_of(challenge, {}), "text", TxtChange::add, {});
  CHECK(shows_txt(servers[0], challenge, "text", 2s, {}));
}

}  // namespace
}  // namespace acme_agent
