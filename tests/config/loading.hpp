#pragma once

#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <acme_agent/base/error.hpp>
#include <acme_agent/config/configuration.hpp>

#include "support/temp_dir.hpp"

namespace acme_agent::test {

/// A machine with a configuration folder of its own, and the ways to start the agent on it.
class Loading {
 public:
  Loading() {
    environment.default_config = folder / "acme-agent.conf";
    environment.variables = {{"HOME", "/home/me"}, {"PATH", "/usr/bin"}};
  }

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = folder / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  void file(const std::string& text) const { write("acme-agent.conf", text); }
  void variable(const std::string& name, const std::string& value) { environment.variables.emplace_back(name, value); }

  Configuration load(const std::vector<std::string>& arguments = {}) const {
    return load_configuration(parse_command_line(arguments), environment);
  }
  CertificateSettings only(const std::vector<std::string>& arguments = {}) const {
    const Configuration configuration = load(arguments);
    REQUIRE(configuration.certificates.size() == 1);
    return configuration.certificates[0];
  }
  /// Of one certificate that needs no file.
  CertificateSettings with(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "--domain=a.example");
    return only(arguments);
  }

  /// All complaints, a line each, the folder of the files left out; empty if there are none.
  std::string complaint(const std::vector<std::string>& arguments = {}) const {
    std::string text;
    try {
      load(arguments);
    } catch (const Error& error) {
      CHECK(error.remedy() == Remedy::ask_operator);
      text = error.message();
    }
    const std::string prefix = folder.path().string() + "/";
    for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix))
      text.erase(at, prefix.size());
    return text;
  }
  std::string complaint_with(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "--domain=a.example");
    return complaint(arguments);
  }

  TempDir folder;
  Environment environment;
};

inline std::vector<std::string> names_of(const CertificateSettings& certificate) {
  std::vector<std::string> names;
  for (const Identifier& identifier : certificate.identifiers) names.push_back(identifier.value);
  return names;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

using Words = std::vector<std::string>;
using Pairs = std::vector<std::pair<std::string, std::string>>;

}  // namespace acme_agent::test
