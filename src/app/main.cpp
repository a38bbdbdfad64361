#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/config/configuration.hpp>

#include "commands.hpp"

namespace acme_agent {
namespace {

/// Where standard input, output or error are closed, the next file opened (a key, perhaps) would take their place and
/// get our messages.
void open_standard_descriptors() {
  for (int descriptor = 0; descriptor <= 2; ++descriptor)
    if (::fcntl(descriptor, F_GETFD) < 0) ::open("/dev/null", O_RDWR);
}

int dispatch(const std::vector<std::string>& arguments, const Environment& environment) {
  const CommandLine command_line = parse_command_line(arguments);
  if (command_line.command == "version") {
    std::cout << "acme-agent " << ACME_AGENT_VERSION << "\n";
    return exit_ok;
  }
  if (command_line.command == "help" && !command_line.format.empty()) {
    const std::string day = format_rfc3339(TimePoint(std::chrono::seconds(ACME_AGENT_BUILT))).substr(0, 10);
    std::cout << reference_text(command_line.format, ACME_AGENT_VERSION, day);
    return exit_ok;
  }
  if (command_line.command == "help") {
    std::cout << help_text(command_line.arguments.empty() ? "" : command_line.arguments.front());
    return exit_ok;
  }
  if (command_line.command == "status") return status(command_line, environment);
  if (command_line.command == "renew") return renew(command_line, environment);
  if (command_line.command == "check") return check(command_line, environment);
  if (command_line.command == "revoke") return revoke(command_line, environment);
  if (command_line.command == "remove") return remove(command_line, environment);
  if (command_line.command == "account") return account(command_line, environment);
  if (command_line.command == "doctor") return doctor(command_line, environment);
  if (command_line.command == "tasmota") return tasmota(command_line, environment);
  if (command_line.command == "ca") return ca(command_line, environment);
  if (command_line.command == "import") return import_from(command_line, environment);
  if (command_line.command == "placeholder") return placeholder(command_line, environment);
  if (command_line.command == "init") return init(command_line, environment);
  if (command_line.command == "watch") return watch(command_line, environment);
  return run(command_line, environment);
}

}  // namespace
}  // namespace acme_agent

int main(int argc, char** argv) {
  using namespace acme_agent;
  open_standard_descriptors();
  try {
    return dispatch({argv + 1, argv + argc}, environment_of_process(environ));
  } catch (const Error& error) {
    for (const std::string& line : split(error.message(), '\n')) std::cerr << "acme-agent: " << line << "\n";
    return error.remedy() == Remedy::ask_operator ? exit_usage : exit_failed;
  } catch (const std::exception& error) {
    std::cerr << "acme-agent: " << error.what() << "\n";
    return exit_failed;
  }
}
