#include "reference.hpp"

#include <algorithm>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

constexpr std::size_t width = 100;

std::string commented(std::string_view text) {
  std::string lines;
  std::string line = "#";
  for (const std::string& word : split(text, ' ')) {
    if (line.size() + 1 + word.size() > width) {
      lines += line + "\n";
      line = "#";
    }
    line += " " + word;
  }
  return lines + line + "\n";
}

std::string configuration_file() {
  std::string text =
      "# acme-agent.conf: every option, with what holds where nothing is said. 'acme-agent check' tells what is "
      "wrong,\n"
      "# all at once; after a change: systemctl reload acme-agent (restart for what stands under 'Agent' and\n"
      "# 'Authority on this machine'). More: acme-agent.conf(5).\n"
      "#\n"
      "# For one certificate, give a domain here. For several, let each have a section at the end of this file, or in "
      "a\n"
      "# file of its own in conf.d beside this one; what stands here is then the default for all of them.\n";
  std::string_view group;
  for (const Option& option : options()) {
    if (option.command_line_only()) continue;
    if (option.group != group) text += "\n\n## " + std::string(option.group) + "\n";
    group = option.group;
    text += "\n" + commented(option.full_meaning());
    text += "#" + std::string(option.name) + " = " + std::string(option.shown_value()) + "\n";
  }
  text +=
      "\n\n## A section for each certificate, named after it\n\n"
      "#[mydyn.example]\n"
      "#domain = mydyn.example\n"
      "#domain = mqtt.mydyn.example\n"
      "#probe = localhost:8883\n";
  return text;
}

Place place_of(std::string_view text) {
  Place place;
  std::string bare;
  std::copy_if(text.begin(), text.end(), std::back_inserter(bare), [](char c) { return c != '[' && c != ']'; });
  if (bare.ends_with("...")) bare.resize(bare.size() - 3);
  for (const std::string& word : split(bare, '|')) {
    const bool fixed = std::all_of(word.begin(), word.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; });
    if (fixed) place.words.push_back(word);
    if (word == "NAME") place.certificate = true;
    if (word == "FILE") place.file = true;
    if (word == "DIR") place.folder = true;
    if (word != "COMMAND") continue;
    for (const Command& command : commands()) place.words.emplace_back(command.name);
    place.words.emplace_back("options");
  }
  return place;
}

}  // namespace

std::vector<Place> places_of(const Command& command) {
  std::vector<Place> places;
  for (const std::string& part : split(command.arguments, ' ')) {
    if (part == "[--") break;  // A command line of its own follows.
    places.push_back(place_of(part));
  }
  return places;
}

bool takes_file(const Option& option) {
  return option.argument == "FILE" || option.argument == "PROGRAM";
}

bool takes_folder(const Option& option) {
  return option.argument.starts_with("DIR");
}

std::string short_meaning(const Option& option) {
  return std::string(option.meaning.substr(0, option.meaning.find(';')));
}

std::string reference_text(const std::string& format, const std::string& version, const std::string& date) {
  if (format == "man") return man_page(version, date);
  if (format == "man-conf") return man_page_of_file(version, date);
  if (format == "bash") return bash_completion();
  if (format == "zsh") return zsh_completion();
  if (format == "fish") return fish_completion();
  if (format == "conf") return configuration_file();
  const std::vector<std::string> known = {"man", "man-conf", "bash", "zsh", "fish", "conf"};
  const std::string meant = nearest(format, known);
  throw Error(Remedy::ask_operator, "--format: '" + printable(format, 80) + "' is not one of " + join(known) +
                                        (meant.empty() ? "" : ": did you mean '" + meant + "'?"));
}

}  // namespace acme_agent
