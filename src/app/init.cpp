#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <sstream>

#include <acme_agent/base/text.hpp>
#include <acme_agent/setup/proposal.hpp>
#include <acme_agent/sys/file.hpp>

#include "commands.hpp"
#include "shell_quoted.hpp"
#include "terminal.hpp"
#include "wiring.hpp"

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

constexpr mode_t for_all_to_read = 0644;
constexpr mode_t for_all_to_enter = 0755;

/// What the configuration has already, if there is one.
std::vector<std::string> names_configured(const Environment& environment) {
  CommandLine alone;
  alone.command = "init";
  std::vector<std::string> names;
  for (const CertificateSettings& one : load_configuration(alone, environment).certificates) names.push_back(one.name);
  return names;
}

bool is_given(const CommandLine& command_line, const char* name) {
  return std::any_of(command_line.options.begin(), command_line.options.end(),
                     [name](const auto& option) { return option.first == name; });
}

/// The options that the next commands need, too.
std::string places_given(const CommandLine& command_line, const Configuration& configuration) {
  std::string given;
  if (command_line.config) given += " --config " + shell_quoted(fs::absolute(*command_line.config).native());
  if (is_given(command_line, "state-dir")) given += " --state-dir " + shell_quoted(configuration.state_dir.native());
  return given;
}

void refuse_what_is_not_written(const CommandLine& command_line) {
  for (const auto& [name, value] : command_line.options)
    if (name != "domain" && name != "name" && name != "email" && name != "server" && name != "state-dir")
      throw Error(Remedy::ask_operator, "init writes no " + name + ": leave --" + name + " out, and add the line '" +
                                            name + " = " + printable(value) + "' to the section that it has written");
}

FirstCertificate first_certificate(const CommandLine& command_line, const Environment& given) {
  CommandLine line = command_line;
  Environment environment = given;
  if (line.config) environment.default_config = fs::absolute(*line.config);
  line.config.reset();  // it may be that this makes it
  const Configuration configuration = load_configuration(line, environment);
  refuse_what_is_not_written(line);
  if (!is_given(line, "domain") || configuration.certificates.size() != 1)
    throw Error(Remedy::ask_operator,
                "say by which name devices reach the broker: acme-agent init --domain mydyn.example");
  const CertificateSettings& settings = configuration.certificates.front();
  FirstCertificate wanted;
  wanted.name = settings.name;
  for (const Identifier& domain : settings.identifiers) wanted.domains.push_back(domain.value);
  wanted.email = settings.email;
  if (is_given(line, "server"))
    for (const Server& server : settings.servers) wanted.servers.push_back(server.name);
  wanted.live = cert_dir_of(settings, StateFolder(configuration.state_dir));
  const fs::path& conf = environment.default_config;
  wanted.conf = fs::exists(conf) ? conf.parent_path() / "conf.d" / (settings.name + ".conf") : conf;
  const std::vector<std::string> names = names_configured(environment);
  wanted.places = places_given(command_line, configuration);
  wanted.configured = std::find(names.begin(), names.end(), settings.name) != names.end();
  return wanted;
}

void print(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) std::cout << (line.empty() ? "" : "  ") << line << "\n";
}

void show(const Proposal& proposal) {
  std::cout << "Found\n";
  for (const std::string& sentence : proposal.found) print(sentence);
  for (const Proposal::File& file : proposal.files) {
    std::cout << "\nTo write: " << file.path.string() << "\n";
    print(file.content);
  }
  if (!proposal.by_hand.empty()) std::cout << "\nBy hand\n";
  for (const std::string& paragraph : proposal.by_hand) print(paragraph);
  std::cout << "\nThen\n";
  for (const std::string& command : proposal.next) print(command);
}

/// Whether we may make that file: the folders that are not there yet come with it.
bool may_write(const fs::path& file) {
  fs::path folder = file.parent_path();
  while (!fs::exists(folder) && folder.has_relative_path()) folder = folder.parent_path();
  return ::access(folder.c_str(), W_OK | X_OK) == 0;
}

void write(const Proposal& proposal) {
  for (const Proposal::File& file : proposal.files) {
    make_folder(file.path.parent_path(), for_all_to_enter);
    create_file(file.path, file.content, Ownership{.uid = {}, .gid = {}, .mode = for_all_to_read});
    std::cout << "written: " << file.path.string() << "\n";
  }
}

}  // namespace

int init(const CommandLine& command_line, const Environment& environment) {
  Environment as_root = environment;  // who is not may still look at what would be written
  as_root.root = true;
  const FirstCertificate wanted = first_certificate(command_line, as_root);
  Proposal proposal = propose(look_around(SystemProcesses(), "/", fs::current_path()), wanted);
  leave_what_is_there(proposal, wanted);
  show(proposal);
  if (proposal.files.empty()) return exit_ok;
  for (const Proposal::File& file : proposal.files)
    if (!may_write(file.path))
      std::cout << "\nYou may not write " << printable(file.path.native()) << ": run this with sudo"
                << (environment.root || !wanted.places.empty()
                        ? ""
                        : ", or give --config FILE and --state-dir DIR that are yours")
                << ".\n";
  std::cout << "\n";
  if (!command_line.force && ::isatty(STDIN_FILENO) == 0) {
    std::cout << "Nothing was written: there is no terminal to ask on. --force writes.\n";
    return exit_ok;
  }
  const std::string count = proposal.files.size() == 1 ? "this file" : "these files";
  if (command_line.force || agreed("Write " + count + "?")) write(proposal);
  return exit_ok;
}

}  // namespace acme_agent
