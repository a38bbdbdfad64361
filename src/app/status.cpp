#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/control/control_socket.hpp>
#include <acme_agent/status/faces.hpp>

#include "commands.hpp"
#include "wiring.hpp"

namespace acme_agent {

Subject subject_of(const CertificateSettings& settings, const StateFolder& state) {
  Subject subject{settings.name};
  for (const Identifier& identifier : settings.identifiers) subject.domains.push_back(identifier.value);
  subject.folder = cert_dir_of(settings, state);
  for (const Server& server : settings.servers) subject.server_names.emplace(server.directory_url, server.name);
  subject.first_server = settings.servers.front().name;
  return subject;
}

std::vector<Subject> subjects_of(const Configuration& configuration, const StateFolder& state) {
  std::vector<Subject> subjects;
  subjects.reserve(configuration.certificates.size());
  for (const CertificateSettings& settings : configuration.certificates)
    subjects.push_back(subject_of(settings, state));
  return subjects;
}

namespace {

/// Nothing where we may not ask it.
std::string whether_agent_runs(const StateFolder& state) {
  try {
    const std::string folder = printable(state.path().native());
    return ask_control(state.control_socket(), "{}")
               ? "an agent runs on " + folder + "\n"
               : "no agent runs on " + folder + " now: start it, unless a timer does its work\n";
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

int status(const CommandLine& command_line, const Environment& environment) {
  const Configuration configuration = load_configuration(command_line, environment);
  const StateFolder state(configuration.state_dir);

  std::map<std::string, Subject> wanted;
  if (configuration.certificates.empty() || !command_line.arguments.empty())
    for (const std::string& name : state.names()) wanted[name] = Subject{name};  // an agent with --domain needs no file
  for (const CertificateSettings& settings : configuration.certificates)
    wanted[settings.name] = subject_of(settings, state);
  for (const std::string& name : command_line.arguments)
    if (!wanted.contains(name)) refuse_unknown(name, state);
  if (!command_line.arguments.empty())
    std::erase_if(wanted, [&](const auto& entry) {
      return std::find(command_line.arguments.begin(), command_line.arguments.end(), entry.first) ==
             command_line.arguments.end();
    });

  std::vector<Subject> subjects;
  for (auto& [name, subject] : wanted) subjects.push_back(std::move(subject));
  if (command_line.check && subjects.empty()) {  // healthy is who has something to look after
    std::cout << "no certificate in " << printable(state.path().native()) << "\n";
    return exit_failed;
  }
  if (subjects.empty() && !std::filesystem::exists(state.path()))
    throw Error(Remedy::ask_operator,
                "no agent has run on " + printable(state.path().native()) +
                    ", which is not there: start one with 'acme-agent --domain NAME', or give the "
                    "--state-dir that it has");
  const Reports reports = report_on(subjects, state, ACME_AGENT_VERSION, SystemClock().now());
  if (command_line.check)
    std::cout << as_health(reports);
  else if (command_line.json)
    std::cout << as_json(reports);
  else if (subjects.empty())
    std::cout << "no certificates yet in " << state.path().string()
              << "\nstart with: acme-agent --domain NAME   ('acme-agent help' shows more)\n";
  else
    std::cout << as_text(reports) << whether_agent_runs(state);
  return reports.exit_code();
}

}  // namespace acme_agent
