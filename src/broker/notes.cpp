#include "notes.hpp"

#include <optional>
#include <system_error>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/secret.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/generations.hpp>

namespace acme_agent {
namespace {

constexpr const char* told_file = "..told";
constexpr const char* restarted_file = "..restarted";
constexpr const char* shown_file = "..shown";

}  // namespace

std::string DeploymentNotes::told() const {
  return read(told_file);
}

void DeploymentNotes::write_told(const std::string& text) const {
  write(told_file, text);
}

std::string DeploymentNotes::restarted_for() const {
  return read(restarted_file);
}

void DeploymentNotes::write_restarted_for(const std::string& generation) const {
  write(restarted_file, generation);
}

std::set<std::string> DeploymentNotes::add_shown(std::set<std::string> addresses) const {
  for (const std::string& address : split(read(shown_file), '\n'))
    if (!address.empty()) addresses.insert(address);
  std::string text;
  for (const std::string& address : addresses) text += address + "\n";
  try {
    if (!text.empty()) write(shown_file, text);
  } catch (const Error&) {  // then it is known in this run only
  }
  return addresses;
}

void DeploymentNotes::forget_shown() const {
  std::error_code none;
  std::filesystem::remove(folder_ / shown_file, none);
}

std::string DeploymentNotes::read(const char* name) const {
  const std::optional<Secret> text = GenerationFolder(folder_).read(name);
  return text ? std::string(text->reveal()) : "";
}

void DeploymentNotes::write(const char* name, const std::string& text) const {
  write_file(folder_ / name, text, {{}, {}, 0644}, Sync::none);
}

}  // namespace acme_agent
