#include <algorithm>
#include <iostream>

#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/deployer.hpp>

#include "authority_terms.hpp"
#include "commands.hpp"
#include "operators_files.hpp"
#include "wiring.hpp"

namespace acme_agent {
namespace {

bool pair_lies_in(const std::filesystem::path& folder) {
  DeploymentTarget target;
  target.folder = folder.native();
  return Deployer::deployed(target).has_value();
}

/// What a listener for devices reads besides.
bool list_lies_in(const std::filesystem::path& folder) {
  std::error_code unknown;
  return std::filesystem::exists(folder / "devices.crl", unknown);
}

int nothing_to_do() {
  std::cout << "nothing to do: a certificate with its key lies where the broker reads it\n";
  return exit_ok;
}

bool put_everything(const Configuration& configuration, bool with_lists) {
  Wiring wiring(configuration);
  wiring.take_folders(configuration);
  bool good = true;
  for (const Managed& managed : wiring.manage(configuration)) {
    const DeploymentTarget& target = managed.target;
    if (!wiring.renewer().place_what_there_is(managed, {})) {
      good = false;
      wiring.log().error("there is no certificate in " + printable(target.folder), managed.name);
    } else if (with_lists && !list_lies_in(target.folder)) {
      const Deployment done =
          Deployer(wiring.clock(), wiring.log()).deploy(target, *Deployer::deployed(target), Effort::full, {});
      if (!list_lies_in(target.folder))
        wiring.log().error("there is no devices.crl in " + printable(target.folder) + ": " + done.detail, managed.name);
    }
  }
  return good;
}

}  // namespace

int placeholder(const CommandLine& command_line, const Environment& environment) {
  const Configuration configuration = load_configuration(command_line, environment);
  check_machine(configuration);
  const StateFolder state(configuration.state_dir);
  become_owner_of(state);
  const auto all = [&](const auto& lies_in) {
    return std::all_of(configuration.certificates.begin(), configuration.certificates.end(),
                       [&](const CertificateSettings& one) { return lies_in(cert_dir_of(one, state)); });
  };
  const bool pairs_lie = all(pair_lies_in);
  std::error_code unknown;
  const bool with_lists = std::filesystem::exists(authority_in(state), unknown);
  if (pairs_lie && (!with_lists || all(list_lies_in))) return nothing_to_do();
  try {
    return put_everything(configuration, with_lists) ? exit_ok : exit_failed;
  } catch (const AlreadyRunning&) {  // that one sees to the lists
    if (!pairs_lie) throw;
    return nothing_to_do();
  }
}

}  // namespace acme_agent
