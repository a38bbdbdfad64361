#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>

#include <acme_agent/challenge/dns01.hpp>
#include <acme_agent/challenge/dns_update_solver.hpp>

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

ChallengeAnswer answer_for(const std::string& name, const std::string& key_authorization = "token.thumb") {
  return {parse_identifier(name), "token", key_authorization};
}

/// What a log says, by a pipe.
class Lines {
 public:
  Lines() {
    if (::pipe2(ends_, O_CLOEXEC | O_NONBLOCK) != 0) throw std::runtime_error("pipe2 failed");
  }
  ~Lines() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  int descriptor() const { return ends_[1]; }
  std::string take() const {
    std::string text(65536, '\0');
    const ssize_t got = ::read(ends_[0], text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }

 private:
  int ends_[2] = {};
};

/// Waits for real, as name servers are real, but counts every second as a hundred.
class FastClock final : public Clock {
 public:
  TimePoint now() const override { return clock_.now(); }
  Duration uptime() const override { return clock_.uptime() + skipped_.load(); }
  bool sleep_for(Duration duration, const std::stop_token& stop) override {
    skipped_ = skipped_.load() + duration - duration / 100;
    return clock_.sleep_for(duration / 100, stop);
  }

 private:
  SystemClock clock_;
  std::atomic<Duration> skipped_{Duration{0}};
};

struct Solving {
  explicit Solving(const std::string& more_records = {}) : named(more_records) {}

  Named named;
  FastClock clock;
  Lines lines;
  Log log{LogLevel::info, LogFormat::text, clock, lines.descriptor()};
  DnsUpdateSolver solver{
      UpdateServer(
          {"127.0.0.1", named.port()}, parse_tsig_key(std::string("hmac-sha256:acme-key:") + Named::secret),
          [] {
            return Resolver({{"127.0.0.1", test::free_dns_port()}});
          },
          clock, named.port()),
      clock, log};

  std::vector<std::string> shown() {
    std::vector<std::string> texts;
    const Resolver resolver({{"127.0.0.1", named.port()}});
    for (const DnsRecord& record : resolver.ask(challenge, RecordType::txt, 5s, {}).records)
      texts.push_back(record.value);
    std::sort(texts.begin(), texts.end());
    return texts;
  }
};

TEST_CASE("the record of dns-01 stands as long as the answer does") {
  Solving t;
  {
    const auto presentation = t.solver.present(answer_for("mydyn.example"), {});
    presentation->await_shown({});
    CHECK(t.shown() == std::vector<std::string>{dns01_value("token.thumb")});
    CHECK(t.solver.has_to_clean_up());
  }
  CHECK(t.shown().empty());
  CHECK_FALSE(t.solver.has_to_clean_up());
  CHECK(t.lines.take().empty());
}

TEST_CASE("a wildcard and its base stand side by side at one name, and go one by one") {
  Solving t;
  std::vector<std::string> both{dns01_value("one"), dns01_value("two")};
  std::sort(both.begin(), both.end());
  auto base = t.solver.present(answer_for("mydyn.example", "one"), {});
  const auto wildcard = t.solver.present(answer_for("*.mydyn.example", "two"), {});
  CHECK(t.shown() == both);
  base.reset();
  CHECK(t.shown() == std::vector<std::string>{dns01_value("two")});
}

TEST_CASE("the server is not asked before a secondary that lags shows the record") {
  Solving t("@ NS ns2\nns2 A 127.0.0.2\n");
  std::atomic<int> looks = 0;
  const FakeNameServer secondary(
      [&](const Asked& asked) {
        if (++looks < 4) return std::vector{test::wire_response(asked, dns_no_such_name, {})};
        return std::vector{test::wire_response(
            asked, 0, {test::wire_record(challenge, RecordType::txt, test::wire_text(dns01_value("token.thumb")))})};
      },
      "127.0.0.2", t.named.port());
  const auto presentation = t.solver.present(answer_for("mydyn.example"), {});
  presentation->await_shown({});
  CHECK(looks == 4);
  CHECK(t.lines.take().empty());
}

TEST_CASE("a secondary that stays behind costs two minutes and a warning, no more") {
  Solving t("@ NS ns2\nns2 A 127.0.0.2\n");
  const FakeNameServer secondary(
      [](const Asked& asked) { return std::vector{test::wire_response(asked, dns_no_such_name, {})}; }, "127.0.0.2",
      t.named.port());
  const auto presentation = t.solver.present(answer_for("mydyn.example"), {});
  const Duration begun = t.clock.uptime();
  presentation->await_shown({});
  CHECK(t.clock.uptime() - begun >= 2min - 5s);
  CHECK(t.clock.uptime() - begun < 2min + 10s);
  const std::string text = t.lines.take();
  CHECK(
      text.find("ns2.mydyn.example (127.0.0.2:" + std::to_string(t.named.port()) +
                ") does not show the TXT record _acme-challenge.mydyn.example after 2 minutes (it has an older zone); "
                "the server is asked all the same: do its zone transfers work?") != std::string::npos);
  CHECK(text.find("ns1") == std::string::npos);
}

TEST_CASE("waiting for name servers ends with a stop") {
  Solving t("@ NS ns2\nns2 A 127.0.0.2\n");
  std::stop_source stop;
  const FakeNameServer secondary(
      [&](const Asked& asked) {
        stop.request_stop();
        return std::vector{test::wire_response(asked, dns_no_such_name, {})};
      },
      "127.0.0.2", t.named.port());
  const auto presentation = t.solver.present(answer_for("mydyn.example"), stop.get_token());
  CHECK_THROWS_AS(presentation->await_shown(stop.get_token()), Stopped);
}

/// A primary without BIND: it finds the zone, and does with each update what the test says.
class Primary {
 public:
  using OnUpdate = std::function<bool(int number)>;  ///< Whether it answers.

  explicit Primary(OnUpdate on_update) : on_update_(std::move(on_update)) {}

  std::vector<std::string> updates() const {
    const std::lock_guard lock(mutex_);
    return updates_;
  }

  FastClock clock;
  Lines lines;
  Log log{LogLevel::info, LogFormat::text, clock, lines.descriptor()};
  FakeNameServer server{[this](const Asked& asked) { return answer(asked); }};
  DnsUpdateSolver solver{UpdateServer(
                             {"127.0.0.1", server.endpoint().port}, std::nullopt, [] { return Resolver({}); }, clock),
                         clock, log};

 private:
  std::vector<std::string> answer(const Asked& asked) {
    constexpr unsigned authoritative = 0x0400;
    constexpr unsigned update = 5;  // RFC 2136 1.3
    if ((static_cast<unsigned char>(asked.query[2]) >> 3 & 15U) != update)
      return {test::wire_response(asked, dns_no_such_name, {},
                                  {test::wire_record("mydyn.example", RecordType::soa, test::wire_soa())},
                                  authoritative)};
    constexpr const char* no_class = "\0\xfe";  // RFC 2136 2.5.4: to be removed
    const bool removal = asked.query.find(std::string(no_class, 2)) != std::string::npos;
    int number = 0;
    {
      const std::lock_guard lock(mutex_);
      updates_.emplace_back(removal ? "remove" : "add");
      number = static_cast<int>(updates_.size());
    }
    if (!on_update_(number)) return {};
    return {test::wire_response(asked, dns_no_error, {}, {}, update << 11)};
  }

  OnUpdate on_update_;
  mutable std::mutex mutex_;
  std::vector<std::string> updates_;
};

using Updates = std::vector<std::string>;

TEST_CASE("a stop while the record is being made leaves none, and the process waits for that") {
  std::stop_source stop;
  std::atomic<bool> waits_for_removal = false;
  DnsUpdateSolver* solver = nullptr;
  Primary t([&](int number) {
    if (number == 1) return !stop.request_stop();
    waits_for_removal = solver->has_to_clean_up();
    return true;
  });
  solver = &t.solver;
  t.server.leave_open();
  CHECK_THROWS_AS(t.solver.present(answer_for("mydyn.example"), stop.get_token()), Stopped);
  CHECK(t.updates() == Updates{"add", "remove"});
  CHECK(waits_for_removal);
  CHECK_FALSE(t.solver.has_to_clean_up());
  CHECK(t.lines.take().empty());
}

TEST_CASE("a stop while the record stands does not keep it from being removed") {
  Primary t([](int) { return true; });
  std::stop_source stop;
  auto presentation = t.solver.present(answer_for("mydyn.example"), stop.get_token());
  stop.request_stop();
  presentation.reset();
  CHECK(t.updates() == Updates{"add", "remove"});
}

TEST_CASE("after a stop no record is made") {
  Primary t([](int) { return true; });
  std::stop_source stop;
  stop.request_stop();
  CHECK_THROWS_AS(t.solver.present(answer_for("mydyn.example"), stop.get_token()), Stopped);
  CHECK(t.updates().empty());
}

TEST_CASE("a record that cannot be made is an error, and leaves nothing") {
  Solving t;
  CHECK_THROWS_AS(t.solver.present(answer_for("other.example"), {}), Error);
  CHECK_FALSE(t.solver.has_to_clean_up());
  CHECK(t.lines.take().empty());
}

TEST_CASE("solvers differ by the server and the key that they have") {
  SystemClock clock;
  test::FakeClock fake;
  Log log{LogLevel::error, LogFormat::text, clock};
  const auto described = [&](const std::string& key) {
    return DnsUpdateSolver(UpdateServer(
                               {"ns1.example", 53}, parse_tsig_key(key), [] { return Resolver({}); }, clock),
                           fake, log)
        .describe();
  };
  CHECK(described("hmac-sha256:a:c2VjcmV0").starts_with("dns-01 by updates of ns1.example:53 with hmac-sha256 a "));
  CHECK(described("hmac-sha256:a:c2VjcmV0") != described("hmac-sha256:a:b3RoZXI="));
  CHECK(described("hmac-sha256:a:c2VjcmV0") != described("hmac-sha256:b:c2VjcmV0"));
}

}  // namespace
}  // namespace acme_agent
