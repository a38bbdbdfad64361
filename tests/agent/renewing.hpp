#pragma once

#include <memory>
#include <string>

#include <acme_agent/agent/renewer.hpp>

#include "support/fake_ca.hpp"
#include "support/fake_clock.hpp"
#include "support/quiet_log.hpp"
#include "support/shown_answers.hpp"
#include "support/temp_dir.hpp"

namespace acme_agent::test {

inline std::shared_ptr<const AcmeServer> server_of(FakeCa& ca, const std::string& name) {
  return std::make_shared<const AcmeServer>(AcmeServer{ca.directory_url(), name, [&ca] { return ca.connect(); }});
}

/// A renewer over a real state folder and a CA in memory; no broker runs.
struct Renewing {
  TempDir folder;
  FakeClock clock;
  QuietLog log{clock};
  FakeCa ca{clock};
  std::shared_ptr<ShownAnswers> answers = std::make_shared<ShownAnswers>();
  StateFolder state{folder / "state"};
  std::stop_source stop;
  Renewer renewer{state.accounts(), [this](const std::string& name) { return state.certificate(name); }, TimePoint(),
                  clock, log};

  Renewing() {
    state.create();
    ca.offer_renewal_info(false);
    ca.on_validate([this](const Identifier&, const std::string& token) { return answers->visit(token); });
  }

  Managed managed(const std::string& name = "mydyn.example") {
    Managed one;
    one.name = name;
    one.identifiers = {{Identifier::Type::dns, name}};
    one.servers = {server_of(ca, "the fake")};
    one.key_type = KeyType::ec256;
    one.target.name = name;
    one.target.identifiers = one.identifiers;
    one.target.folder = state.live(name);
    one.solvers = {answers};
    std::filesystem::create_directories(one.target.folder);
    return one;
  }

  Outcome renew(const Managed& one, const Wish& wish = {.look = true}) {
    return renewer.renew(
        one, wish, [] {}, stop.get_token());
  }

  Record record(const std::string& name = "mydyn.example") { return state.certificate(name).load_record().record; }
  std::optional<Held> held(const std::string& name = "mydyn.example") { return state.certificate(name).held(); }
  std::string serial(const std::string& name = "mydyn.example") { return held(name)->pair.chain.leaf().serial(); }
};

/// Of the certificate in the broker's folder.
inline std::string deployed_serial(const Managed& managed) {
  return Deployer::deployed(managed.target).value().chain.leaf().serial();
}

}  // namespace acme_agent::test
