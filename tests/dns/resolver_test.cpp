#include <doctest/doctest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include <acme_agent/dns/resolver.hpp>

#include "support/fake_name_server.hpp"
#include "support/named.hpp"

namespace acme_agent {
namespace {

using namespace std::chrono_literals;
using test::Asked;
using test::FakeNameServer;
using test::wire_record;
using test::wire_response;
using test::wire_text;

std::vector<std::string> say(std::string message) {
  return {std::move(message)};
}

std::string txt(const std::string& text) {
  return wire_record("mydyn.example", RecordType::txt, wire_text(text));
}

DnsAnswer ask(const FakeNameServer& server, Duration timeout = 5s) {
  return Resolver({server.endpoint()}).ask("mydyn.example", RecordType::txt, timeout, {});
}

std::string failure(const std::vector<Endpoint>& servers, Duration timeout) {
  try {
    Resolver(servers).ask("mydyn.example", RecordType::txt, timeout, {});
    return "an answer";
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::retry);
    return error.message();
  }
}

TEST_CASE("records that are there are found, and what is not there is no error") {
  const test::Named named("txt TXT \"hello\"\n@ AAAA 2001:db8::1\nwww CNAME txt\n");
  const Resolver resolver({{"127.0.0.1", named.port()}});
  const auto look = [&](const std::string& name, RecordType type) { return resolver.ask(name, type, 5s, {}); };
  CHECK(look("txt.mydyn.example", RecordType::txt).records.at(0).value == "hello");
  CHECK(look("mydyn.example", RecordType::a).records.at(0).value == "127.0.0.1");
  CHECK(look("mydyn.example", RecordType::aaaa).records.at(0).value == "2001:db8::1");

  const DnsAnswer through = look("www.mydyn.example", RecordType::txt);
  CHECK(through.name == "txt.mydyn.example");
  CHECK(through.records.at(0).value == "hello");

  const DnsAnswer nothing = look("mydyn.example", RecordType::caa);
  CHECK(nothing.records.empty());
  CHECK(nothing.name_exists);
  CHECK(nothing.zone == "mydyn.example");
  CHECK_FALSE(look("nowhere.mydyn.example", RecordType::a).name_exists);
}

TEST_CASE("an answer that does not fit into a datagram is fetched by TCP") {
  const test::Named named;
  const Resolver resolver({{"127.0.0.1", named.port()}});
  CHECK(resolver.ask("large.example", RecordType::txt, 5s, {}).records.size() == 16);
}

TEST_CASE("the zone of a name is found from any depth, and its servers with all their addresses") {
  const test::Named named("@ NS ns2\nns2 A 127.0.0.2\nns2 AAAA ::1\nwww CNAME deep.er\n");
  const Resolver resolver({{"127.0.0.1", named.port()}}, 5353);
  CHECK(resolver.locate("_acme-challenge.a.b.mydyn.example", 5s, {}).zone == "mydyn.example");
  CHECK(resolver.locate("mydyn.example", 5s, {}).zone == "mydyn.example");
  const DnsAnswer elsewhere = resolver.locate("www.mydyn.example", 5s, {});
  CHECK(elsewhere.name == "deep.er.mydyn.example");
  CHECK(elsewhere.zone == "mydyn.example");

  std::vector<std::string> servers;
  for (const NameServer& server : resolver.servers_of("mydyn.example", resolver, 5s, {}))
    servers.push_back(server.text());
  std::sort(servers.begin(), servers.end());
  CHECK(servers == std::vector<std::string>{"ns1.mydyn.example (127.0.0.1:5353)", "ns2.mydyn.example (127.0.0.2:5353)",
                                            "ns2.mydyn.example ([::1]:5353)"});
}

TEST_CASE("an address that the zone's own servers do not know is asked for elsewhere") {
  const test::Named named("@ NS ns.elsewhere.example.\n");
  const FakeNameServer elsewhere([](const Asked& asked) {
    return asked.is_for("ns.elsewhere.example", RecordType::a)
               ? say(wire_response(asked, 0, {wire_record("ns.elsewhere.example", RecordType::a, "\x7f\x01\x01\x01")}))
               : say(wire_response(asked, 0, {}));
  });
  const Resolver resolver({{"127.0.0.1", named.port()}});
  const auto servers = resolver.servers_of("mydyn.example", Resolver({elsewhere.endpoint()}), 5s, {});
  CHECK(std::any_of(servers.begin(), servers.end(),
                    [](const NameServer& server) { return server.address.host == "127.1.1.1"; }));
}

TEST_CASE("answers with another id, to another question or to nobody's are left aside") {
  const FakeNameServer server([](const Asked& asked) {
    std::string other_id = wire_response(asked, 0, {txt("wrong id")});
    other_id[0] = static_cast<char>(other_id[0] + 1);
    const Asked other{asked.id() + write_dns_query(0, "other.example", RecordType::txt).substr(2), false};
    return std::vector<std::string>{other_id, wire_response(other, 0, {txt("wrong question")}), "garbage", asked.query,
                                    wire_response(asked, 0, {txt("right")})};
  });
  CHECK(ask(server).records.at(0).value == "right");
}

TEST_CASE("ids and ports differ from question to question") {
  std::vector<std::string> ids;
  const FakeNameServer server([&ids](const Asked& asked) {
    ids.push_back(asked.id());
    return say(wire_response(asked, 0, {}));
  });
  for (int i = 0; i < 8; ++i) ask(server);
  std::sort(ids.begin(), ids.end());
  CHECK(std::unique(ids.begin(), ids.end()) - ids.begin() > 4);
}

TEST_CASE("a lost datagram is sent again") {
  std::atomic<int> asked_for = 0;
  const FakeNameServer server([&](const Asked& asked) {
    return ++asked_for == 1 ? std::vector<std::string>{} : say(wire_response(asked, 0, {txt("second")}));
  });
  CHECK(ask(server).records.at(0).value == "second");
}

TEST_CASE("a server that fails is passed over") {
  const FakeNameServer broken([](const Asked& asked) { return say(wire_response(asked, dns_server_failure, {})); });
  const FakeNameServer sound([](const Asked& asked) { return say(wire_response(asked, 0, {txt("sound")})); });
  CHECK(Resolver({broken.endpoint(), sound.endpoint()}).ask("mydyn.example", RecordType::txt, 5s, {}).records.size() ==
        1);
  CHECK(failure({broken.endpoint()}, 5s) ==
        "cannot look up the TXT of mydyn.example: the name server " + broken.endpoint().text() + " says SERVFAIL");
}

TEST_CASE("a zone that the server gives away is not its own") {
  const test::Named named("below NS ns.elsewhere.example.\n");
  const Resolver resolver({{"127.0.0.1", named.port()}});
  CHECK_THROWS_WITH_AS(resolver.locate("_acme-challenge.below.mydyn.example", 5s, {}),
                       ("cannot look up the SOA of _acme-challenge.below.mydyn.example: the name server 127.0.0.1:" +
                        std::to_string(named.port()) + " refers to others")
                           .c_str(),
                       Error);
}

TEST_CASE("a silent server costs no more than the time given, one that is not there nothing") {
  const FakeNameServer silent([](const Asked&) { return std::vector<std::string>{}; });
  const auto begun = std::chrono::steady_clock::now();
  CHECK(failure({silent.endpoint()}, 300ms) == "cannot look up the TXT of mydyn.example: the name server " +
                                                   silent.endpoint().text() +
                                                   " gave no answer within 300 milliseconds");
  CHECK(std::chrono::steady_clock::now() - begun < 2s);
  const Endpoint nobody{"127.0.0.1", test::free_dns_port()};
  CHECK(failure({nobody}, 60s) == "cannot look up the TXT of mydyn.example: the name server " + nobody.text() +
                                      " does not answer: nobody listens there");
}

TEST_CASE("a stop is obeyed at once") {
  const FakeNameServer silent([](const Asked&) { return std::vector<std::string>{}; });
  std::stop_source stop;
  std::jthread stopping([&] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  });
  const auto begun = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(Resolver({silent.endpoint()}).ask("mydyn.example", RecordType::txt, 60s, stop.get_token()), Stopped);
  CHECK(std::chrono::steady_clock::now() - begun < 1s);
}

TEST_CASE("CNAMEs in a circle have an end") {
  const FakeNameServer server([](const Asked& asked) {
    return say(wire_response(asked, 0,
                             {wire_record("mydyn.example", RecordType::cname, write_dns_name("a.example")),
                              wire_record("a.example", RecordType::cname, write_dns_name("mydyn.example"))}));
  });
  CHECK(failure({server.endpoint()}, 5s) ==
        "cannot look up the TXT of mydyn.example: too many CNAMEs, one behind another");
}

TEST_CASE("a TCP answer that is cut off or to something else is told as such") {
  std::string by_tcp = "x";
  const FakeNameServer server(
      [&](const Asked& asked) { return asked.tcp ? say(by_tcp) : say(wire_response(asked, 0, {}, {}, 0x0200)); });
  CHECK(failure({server.endpoint()}, 5s).find("sent what is no answer to the request") != std::string::npos);
}

TEST_CASE("the name servers of resolv.conf are taken in their order, three at most") {
  const test::TempDir folder;
  std::ofstream(folder / "resolv.conf") << "# nameserver 192.0.2.9\nsearch example\nnameserver 192.0.2.1\n"
                                           "nameserver\t2001:db8::1\nnameserver nonsense\nnameserver fe80::1%lo\n"
                                           "nameserver 192.0.2.4\n";
  const Resolver resolver = Resolver::of_system(folder / "resolv.conf");
  CHECK(resolver.servers() == std::vector<Endpoint>{{"192.0.2.1", 53}, {"2001:db8::1", 53}, {"fe80::1%lo", 53}});
  CHECK(Resolver::of_system(folder / "none").servers() == std::vector<Endpoint>{{"127.0.0.1", 53}});
}

}  // namespace
}  // namespace acme_agent
