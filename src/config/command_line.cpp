#include <algorithm>
#include <array>
#include <boost/program_options/errors.hpp>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/value_semantic.hpp>

#include <acme_agent/base/text.hpp>
#include <acme_agent/config/configuration.hpp>

#include "command.hpp"
#include "layer.hpp"
#include "option.hpp"
#include "setters.hpp"

namespace acme_agent {
namespace {

namespace po = boost::program_options;

[[noreturn]] void refuse(std::string message) {
  throw Error(Remedy::ask_operator, std::move(message));
}

po::options_description describe_options() {
  po::options_description description;
  for (const Option& option : options()) {
    std::string names(option.name);
    if (option.short_name != '\0') names += std::string(",") + option.short_name;
    if (option.flag()) {
      description.add_options()(names.c_str(), "");
    } else {
      description.add_options()(names.c_str(), po::value<std::string>(), "");
    }
  }
  return description;
}

/// "--doamin=x" as the program met it → "doamin".
std::string bare_name(const std::string& shown) {
  const std::string name = shown.substr(0, shown.find('='));
  return name.substr(std::min(name.find_first_not_of('-'), name.size()));
}

po::parsed_options parse(const std::vector<std::string>& arguments, const po::options_description& description) {
  // No guessing: a prefix that is clear today is ambiguous with the next version.
  constexpr int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  try {
    return po::command_line_parser(arguments).options(description).style(style).run();
  } catch (const po::unknown_option& error) {
    const std::string shown = error.get_option_name();
    refuse(refuse_unknown(Source::command_line, shown.substr(0, shown.find('=')), bare_name(shown)));
  } catch (const po::error_with_option_name& error) {
    const std::string name = bare_name(error.get_option_name());
    const Option* const option = find_option(name);
    if (option == nullptr) refuse(printable(error.what()));
    if (option->flag()) refuse("--" + name + " takes no value; write it alone");
    refuse("--" + name + " needs a value: --" + name + "=" + std::string(option->argument));
  } catch (const po::error& error) {
    refuse(std::string("cannot read the command line: ") + printable(error.what()));
  }
}

/// `--email --once` is a value forgotten, not a strange address.
void refuse_option_as_value(const po::option& parsed) {
  const std::vector<std::string>& tokens = parsed.original_tokens;
  if (tokens.size() < 2 || !tokens[1].starts_with('-')) return;
  const std::string name = "--" + parsed.string_key;
  const std::string value = printable(tokens[1], 80);
  refuse(name + " needs a value, but " + value + " follows; if that is the value, write " + name + "=" + value);
}

/// What changes the work of a command belongs to a few commands each.
void refuse_elsewhere(const Option& option, const CommandLine& line) {
  if (option.goes_with(line.command)) return;
  std::vector<std::string> quoted;
  for (const std::string& command : split(option.commands, ' ')) quoted.push_back("'" + command + "'");
  refuse("--" + std::string(option.name) + " goes with the command" + (quoted.size() == 1 ? " " : "s ") + join(quoted) +
         " only, not with '" + line.command + "'; leave it out");
}

void take_words(CommandLine& line, const std::vector<std::string>& words) {
  if (words.empty()) return;
  if (find_command(words[0]) == nullptr) refuse(refuse_command(words[0]));
  line.command = words[0];
  line.arguments.assign(words.begin() + 1, words.end());
}

/// Of `ca issue`, --for and --csr are not about the broker's certificate.
void take_device(CommandLine& line) {
  std::vector<std::pair<std::string, std::string>> rest;
  for (const auto& [name, value] : line.options) {
    if (name != "for" && name != "csr") {
      rest.emplace_back(name, value);
      continue;
    }
    if (name == "for" ? !line.device.empty() : line.device_csr.has_value())
      refuse("--" + name + " is given twice; leave only one");
    if (name == "for")
      line.device = value;
    else
      line.device_csr = value;
  }
  line.options = std::move(rest);
}

/// A certificate has its name in A-labels, as its domain; people call it as they typed that.
void take_names(CommandLine& line) {
  constexpr std::array of_names = {"status", "doctor", "renew", "revoke", "remove"};
  std::size_t first = std::count(of_names.begin(), of_names.end(), line.command) == 1 ? 0 : line.arguments.size();
  if (line.command == "tasmota" && !line.arguments.empty() && line.arguments.front() != "headers") first = 1;
  for (; first < line.arguments.size(); ++first) {
    std::string& word = line.arguments[first];
    if (word.find_first_of("/:") != std::string::npos) continue;  // a file, or what a server shows
    try {
      word = to_a_labels(word);
    } catch (const Error&) {
      // No certificate is called so, and the command will say it.
    }
  }
}

void check_arguments(const CommandLine& line) {
  const Command& command = *find_command(line.command);
  const std::string usage = std::string(command.name) + " " + std::string(command.arguments);
  if (line.arguments.size() < command.fewest_arguments) refuse("something is missing: write acme-agent " + usage);
  if (line.arguments.size() > command.most_arguments) {
    refuse("'" + printable(line.arguments[command.most_arguments], 80) + "' is one word too many for the command '" +
           line.command + "'; 'acme-agent help " + line.command + "' tells what it takes");
  }
}

}  // namespace

CommandLine parse_command_line(const std::vector<std::string>& arguments) {
  const po::options_description description = describe_options();
  CommandLine line;
  std::vector<std::string> words;
  std::vector<const Option*> given;
  bool help = false;
  bool version = false;
  for (const po::option& parsed : parse(arguments, description).options) {
    const std::string& name = parsed.string_key;
    const std::string value = parsed.value.empty() ? "" : parsed.value[0];
    if (name.empty()) {
      words.push_back(value);
      continue;
    }
    refuse_option_as_value(parsed);
    given.push_back(find_option(name));
    if (name == "config") {
      if (value.empty()) refuse("--config needs a value: --config=FILE");
      if (line.config) refuse("--config is given twice; leave only one (conf.d/*.conf beside it is read too)");
      line.config = value;
    } else if (name == "once") {
      line.once = true;
    } else if (name == "force") {
      line.force = true;
    } else if (name == "dry-run") {
      line.dry_run = true;
    } else if (name == "json") {
      line.json = true;
    } else if (name == "check") {
      line.check = true;
    } else if (name == "files") {
      line.files = true;
    } else if (name == "switch") {
      line.switch_key = true;
    } else if (name == "reason") {
      line.reason = value;
    } else if (name == "as") {
      line.as = value;
    } else if (name == "days") {
      line.days = value;
    } else if (name == "format") {
      line.format = value;
    } else if (name == "help") {
      help = true;
    } else if (name == "version") {
      version = true;
    } else {
      line.options.emplace_back(name, parsed.value.empty() ? "yes" : value);
    }
  }
  take_words(line, words);
  if (line.command == "ca") take_device(line);
  take_names(line);

  if (help) {
    if (line.command != "help") line.arguments = words.empty() ? std::vector<std::string>{} : std::vector{line.command};
    line.command = "help";
  } else if (version) {
    line.command = "version";
    line.arguments.clear();
  } else {
    for (const Option* const option : given) refuse_elsewhere(*option, line);
  }
  check_arguments(line);
  return line;
}

}  // namespace acme_agent
