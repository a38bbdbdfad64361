#include <stdlib.h>

#include <chrono>
#include <memory>
#include <string>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>

#include "broker/deploying.hpp"

namespace acme_agent::test {
namespace {

TEST_CASE("another kind of key is installed, never signalled, and served after a restart") {
  for (const bool to_rsa : {true, false}) {
    CAPTURE(to_rsa);
    Deploying t;
    t.deployed_before(to_rsa ? ec_key() : rsa_key());
    const CertifiedKey held = t.pair(to_rsa ? rsa_key() : ec_key());
    const Deployment deployment = t.deploy(held);
    CHECK(deployment.state == State::restart_needed);
    CHECK(deployment.switched);
    CHECK_FALSE(deployment.reloaded);
    CHECK(says(deployment,
               to_rsa ? "serves an EC key and ours is an RSA key" : "serves an RSA key and ours is an EC key"));
    CHECK(says(deployment, "restart"));
    CHECK(t.processes.signals.empty());
    CHECK(t.lies(held));

    t.broker.load();  // logrotate does it every night: now there are two certificates
    const Deployment again = t.deploy(held);
    CHECK(again.state == State::restart_needed);
    CHECK_FALSE(again.switched);
    CHECK(t.processes.signals.empty());

    t.broker.restart();
    const Deployment after = t.deploy(held);
    CHECK(after.state == State::done);
    CHECK_FALSE(after.switched);
    CHECK(t.processes.signals.empty());
  }
}

/// As systemd:UNIT and container:NAME are: one that can restart the broker, too.
struct Restarter final : Reloader {
  explicit Restarter(FakeBroker& fake) : broker(fake) {}
  std::string describe() const override { return "systemd:mosquitto"; }
  bool reload(const Deployed&, const std::stop_token&) override {
    ++reloads;
    if (!deaf) broker.load();
    return true;
  }
  bool restart(const std::stop_token&) override {
    ++restarts;
    if (refuses) throw Error(Remedy::ask_operator, "user 7 may not restart mosquitto.service");
    if (!deaf) broker.restart();
    return true;
  }

  FakeBroker& broker;
  int reloads = 0, restarts = 0;
  bool refuses = false;
  bool deaf = false;  // it goes on with what it has
};

/// A broker that may be restarted from three to four o'clock and serves an EC key, where an RSA key comes.
struct AwaitingNight : Deploying {
  std::shared_ptr<Restarter> restarter = std::make_shared<Restarter>(broker);
  CertifiedKey held;

  AwaitingNight() : held((deployed_before(ec_key()), pair(rsa_key(), 1h))) {
    ::setenv("TZ", "UTC0", 1);
    target.reloaders = {restarter};
    target.restart_window = parse_day_span("03:00-04:00");
    clock.set(std::chrono::floor<std::chrono::days>(clock.now()) + 2h);
    held = pair(rsa_key());
  }
  ~AwaitingNight() { ::unsetenv("TZ"); }

  TimePoint three() const { return std::chrono::floor<std::chrono::days>(clock.now()) + 3h; }
  Deployment deploy_at_three() {
    clock.set(three());
    return deploy(held, Effort::look);
  }
};

TEST_CASE("a broker that needs a restart gets it within the window of the night, once, and no reload") {
  AwaitingNight t;
  const Deployment planned = t.deploy(t.held);
  CHECK(planned.state == State::restart_needed);
  CHECK(planned.next == t.three());
  CHECK(says(planned, "it is restarted at " + format_rfc3339(t.three())));
  CHECK(t.restarter->restarts == 0);

  const Deployment done = t.deploy_at_three();
  CHECK(done.state == State::done);
  CHECK(t.serves(t.held));
  CHECK(t.deploy(t.held).state == State::done);
  CHECK(t.restarter->restarts == 1);
  CHECK(t.restarter->reloads == 0);
}

TEST_CASE("where the restart did not do it, there is no second one") {
  AwaitingNight t;
  t.restarter->deaf = true;
  CHECK(t.deploy(t.held).state == State::restart_needed);
  CHECK(t.deploy_at_three().state == State::failed);
  const Deployment next = t.deploy(t.held);
  CHECK(next.state == State::restart_needed);
  CHECK_FALSE(next.next);
  CHECK(says(next, "it was restarted for that already"));
  CHECK(t.restarter->restarts == 1);
}

TEST_CASE("a restart that is refused is told and tried again") {
  AwaitingNight t;
  t.restarter->refuses = true;
  const Deployment refused = t.deploy_at_three();
  CHECK(refused.state == State::failed);
  CHECK(says(refused, "may not restart mosquitto.service"));
  t.restarter->refuses = false;
  CHECK(t.deploy(t.held, Effort::look).state == State::done);
}

TEST_CASE("what a reload can do is never done by a restart, whatever the time") {
  AwaitingNight t;
  t.clock.set(t.three());
  const CertifiedKey same_kind = t.pair(ec_key());
  CHECK(t.deploy(same_kind).state == State::done);
  t.restarter->deaf = true;
  t.target.probe_timeout = 100ms;
  CHECK(t.deploy(t.pair(ec_key(), 30min)).state == State::failed);
  CHECK(t.restarter->restarts == 0);
  CHECK(t.restarter->reloads == 2);
}

TEST_CASE("a broker that reads its files only when it starts is not told, but restarted") {
  AwaitingNight t;
  t.target.only_restarts = true;
  t.held = t.pair(ec_key());
  const Deployment planned = t.deploy(t.held);
  CHECK(planned.state == State::restart_needed);
  CHECK(says(planned, "takes a new one only when it starts; it is restarted at"));
  CHECK(t.deploy_at_three().state == State::done);
  t.target.restart_window.reset();
  CHECK(says(t.deploy(t.pair(ec_key(), 10min)), "restart the broker"));
  CHECK(t.restarter->restarts == 1);
  CHECK(t.restarter->reloads == 0);
}

}  // namespace
}  // namespace acme_agent::test
