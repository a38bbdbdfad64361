#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "complaints.hpp"

namespace acme_agent {

struct Option;

/// One value of one option, and where it was said.
struct Setting {
  std::string value;
  std::string place;  ///< For complaints: "--email", "$ACME_AGENT_EMAIL", "agent.conf:3: email".
  std::shared_ptr<const std::filesystem::path> folder;  ///< Where relative paths start.
  bool first = true;  ///< Of its option in its layer: it replaces what lower layers say.
};

/// All that one source says. Layers are laid over one another: built-in, file, section, environment, command line.
using Layer = std::map<const Option*, std::vector<Setting>>;

enum class Source { command_line, environment, file };

/// How the option of this name is written there: "--key-type", "$ACME_AGENT_KEY_TYPE", "'key-type'".
std::string spelled(Source source, std::string_view name);

/// That no option of this version has this name, written as `shown`; with the nearest one that has.
std::string refuse_unknown(Source source, std::string_view shown, std::string_view name);

/// Checks what holds for the values of all options, splits comma lists, and adds them.
void add_setting(Layer& layer, const Option& option, const Setting& setting, Complaints& complaints);

/// Whether the layer says anything about the option, be it wrong.
bool has(const Layer& layer, std::string_view name);

}  // namespace acme_agent
