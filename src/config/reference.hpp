#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "command.hpp"
#include "option.hpp"

namespace acme_agent {

/// acme-agent(1) and acme-agent.conf(5) in roff, with the macros of man(7).
std::string man_page(const std::string& version, const std::string& date);
std::string man_page_of_file(const std::string& version, const std::string& date);

std::string bash_completion();
std::string zsh_completion();
std::string fish_completion();

/// What may stand at one place behind a command.
struct Place {
  std::vector<std::string> words;
  bool certificate = false;
  bool file = false;
  bool folder = false;
};

/// From "show|update", "NAME...", "certbot DIR" and the like. What may be repeated is the last one.
std::vector<Place> places_of(const Command& command);

/// Whether the value of the option is a path to complete.
bool takes_file(const Option& option);
bool takes_folder(const Option& option);

/// The meaning up to where its details begin.
std::string short_meaning(const Option& option);

}  // namespace acme_agent
