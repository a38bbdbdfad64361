#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace acme_agent {

/// A word that says what to do, from which command line and help are made.
struct Command {
  std::string_view name;
  std::string_view arguments;  ///< As the help writes them.
  std::size_t fewest_arguments = 0;
  std::size_t most_arguments = 0;
  bool everyday = true;  ///< With a line of its own in the overview.
  std::string_view meaning;
  std::string_view page;  ///< Of the help; empty: the overview says all.
};

/// In the order of the help; the first one is meant when none is given.
std::span<const Command> commands();

/// Null if there is none.
const Command* find_command(std::string_view name);

/// Why there is no such command, with the nearest one that there is.
std::string refuse_command(std::string_view name);

}  // namespace acme_agent
