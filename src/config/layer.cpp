#include "layer.hpp"

#include <algorithm>

#include <acme_agent/base/text.hpp>

#include "option.hpp"

namespace acme_agent {
namespace {

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return (c < ' ' && c != '\t') || c == 0x7f; });
}

std::string variable(std::string_view option) {
  std::string name = "ACME_AGENT_";
  for (const char c : option) name += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

}  // namespace

std::string spelled(Source source, std::string_view name) {
  if (source == Source::command_line) return "--" + std::string(name);
  if (source == Source::environment) return "$" + variable(name);
  return "'" + std::string(name) + "'";
}

std::string refuse_unknown(Source source, std::string_view shown, std::string_view name) {
  const std::string quoted = printable(shown, 80);
  std::vector<std::string> known;
  for (const Option& option : options())
    if (source == Source::command_line || !option.command_line_only()) known.emplace_back(option.name);
  const std::string meant = nearest(name, known);
  const std::string kind = source == Source::command_line  ? "option "
                           : source == Source::environment ? "variable "
                                                           : "key ";
  return "unknown " + kind + quoted +
         (meant.empty() ? " ('acme-agent help options' lists what there is)"
                        : ": did you mean " + spelled(source, meant) + "?");
}

bool has(const Layer& layer, std::string_view name) {
  return layer.count(find_option(name)) > 0;
}

void add_setting(Layer& layer, const Option& option, const Setting& setting, Complaints& complaints) {
  const std::vector<std::string> values =
      option.comma_list ? split(setting.value, ',') : std::vector<std::string>{setting.value};
  std::vector<Setting>& settings = layer[&option];
  if (values.empty() || values.front().empty()) return complaints.add(setting.place + ": a value is missing");
  if (!option.repeatable && !settings.empty()) {
    const std::string& before = settings.front().place;
    return complaints.add(setting.place + ": it is given twice; leave only one" +
                          (before == setting.place ? "" : " (the other is at " + before + ")"));
  }
  for (const std::string& value : values) {
    if (has_control_character(value)) {
      complaints.add(setting.place + ": '" + printable(value, 80) + "' holds a control character; remove it");
    } else {
      settings.push_back({value, setting.place, setting.folder, settings.empty()});
    }
  }
}

}  // namespace acme_agent
