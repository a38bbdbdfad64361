#pragma once

#include <span>
#include <string>
#include <string_view>

#include <acme_agent/config/configuration.hpp>

#include "layer.hpp"

namespace acme_agent {

/// One option, from which command line, variables of the environment, keys of the file and help are made.
/// One with neither setter belongs on the command line only.
struct Option {
  std::string_view group;  ///< Its heading in the help.
  std::string_view name;
  char short_name = '\0';
  std::string_view argument = {};  ///< Empty: a flag on the command line, yes or no elsewhere.
  bool repeatable = false;
  bool comma_list = false;
  bool one_certificate_only = false;  ///< It makes no sense to say it for several certificates at once.
  void (*set_certificate)(const Setting&, CertificateSettings&) = nullptr;
  void (*set_agent)(const Setting&, Configuration&) = nullptr;
  std::string_view default_value =
      {};  ///< Applied where nothing is said; empty: `default_words` tell what happens then.
  std::string_view default_words = {};
  bool overview = false;  ///< Shown on the first page of the help.
  std::string_view meaning;
  std::string_view detail = {};    ///< Of the meaning; not on the first page of the help.
  std::string_view example = {};   ///< A value to start from; empty: the default is one.
  std::string_view words = {};     ///< With spaces between: values that can be completed. After a colon, more follows.
  std::string_view commands = {};  ///< With spaces between: those that it goes with; empty: all.

  bool flag() const { return argument.empty(); }
  std::string_view shown_value() const { return example.empty() ? default_value : example; }
  std::string full_meaning() const;  ///< With what holds when nothing is said.
  bool goes_with(std::string_view command) const;
  bool command_line_only() const { return set_certificate == nullptr && set_agent == nullptr; }
};

/// In the order of the help.
std::span<const Option> options();

/// Null if there is none.
const Option* find_option(std::string_view name);

}  // namespace acme_agent
