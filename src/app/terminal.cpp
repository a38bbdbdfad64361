#include "terminal.hpp"

#include <iostream>

#include <acme_agent/base/text.hpp>

namespace acme_agent {

bool agreed(const std::string& question) {
  std::cout << question << " [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return trim(answer) == "y" || trim(answer) == "yes";
}

}  // namespace acme_agent
