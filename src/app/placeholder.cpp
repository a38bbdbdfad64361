#include <algorithm>
#include <iostream>

#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/deployer.hpp>

#include "commands.hpp"
#include "wiring.hpp"

namespace acme_agent {
namespace {

bool pair_lies_in(const std::filesystem::path& folder) {
  DeploymentTarget target;
  target.folder = folder.native();
  return Deployer::deployed(target).has_value();
}

}  // namespace

int placeholder(const CommandLine& command_line, const Environment& environment) {
  const Configuration configuration = load_configuration(command_line, environment);
  check_machine(configuration);
  const StateFolder state(configuration.state_dir);
  become_owner_of(state);
  // An agent that runs has the state folder, and has seen to it already.
  const bool all_lie =
      std::all_of(configuration.certificates.begin(), configuration.certificates.end(),
                  [&](const CertificateSettings& one) { return pair_lies_in(cert_dir_of(one, state)); });
  if (all_lie) {
    std::cout << "nothing to do: a certificate with its key lies where the broker reads it\n";
    return exit_ok;
  }
  Wiring wiring(configuration);
  wiring.take_folders(configuration);
  bool good = true;
  for (const Managed& managed : wiring.manage(configuration)) {
    if (wiring.renewer().place_what_there_is(managed, {})) continue;
    good = false;
    wiring.log().error("there is no certificate in " + printable(managed.target.folder), managed.name);
  }
  return good ? exit_ok : exit_failed;
}

}  // namespace acme_agent
