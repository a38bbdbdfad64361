#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include <acme_agent/base/text.hpp>
#include <acme_agent/control/control_socket.hpp>
#include <acme_agent/store/state.hpp>
#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/file_lock.hpp>

#include "commands.hpp"
#include "wiring.hpp"

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(std::string message) {
  throw Error(Remedy::ask_operator, std::move(message));
}

/// One of ours in a broker's folder: a generation, what we note there, or a name that leads to a generation.
bool is_ours(const fs::directory_entry& entry) {
  const std::string name = entry.path().filename();
  if (name == "..data" || name == "..previous" || name == "..told" || name == "..shown" || name == "..restarted" ||
      name == ".acme-agent.lock")
    return true;
  if (name.size() > 2 && name.starts_with("..") && name.find_first_not_of("0123456789", 2) == std::string::npos)
    return entry.is_directory();
  if (!entry.is_symlink()) return false;
  return fs::read_symlink(entry.path()).native().starts_with("..data/");
}

void remove_path(const fs::path& path) {
  std::error_code failed;
  fs::remove_all(path, failed);
  if (failed) throw_errno("cannot remove", path, failed.value());
}

/// Takes away what we have put into the broker's folder, and the folder if nothing else is in it.
void remove_files(const fs::path& folder) {
  std::error_code none;
  if (!fs::is_directory(folder, none)) return;
  const auto lock = FileLock::try_acquire(folder / ".acme-agent.lock");
  if (std::holds_alternative<FileLock::Holder>(lock))
    throw Error(Remedy::retry, "another acme-agent looks after " + printable(folder.native()) + ": stop it first");
  std::vector<fs::path> ours;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (is_ours(entry)) ours.push_back(entry.path());
  std::sort(ours.begin(), ours.end(), std::greater<>());  // the names before what they lead to
  for (const fs::path& path : ours) remove_path(path);
  fs::remove(folder, none);  // unless something else is in it
}

}  // namespace

void require_known(const std::string& name, const StateFolder& state) {
  const std::vector<std::string> names = state.names();
  if (std::find(names.begin(), names.end(), name) == names.end()) refuse_unknown(name, state);
}

void refuse_unknown(const std::string& name, const StateFolder& state) {
  const std::vector<std::string> names = state.names();
  refuse("there is no certificate named '" + printable(name, 80) + "' in " + state.path().string() +
         (names.empty() || names.size() > 20 ? "" : ", which has " + join(names)));
}

std::optional<bool> is_looked_after(const std::string& name, const StateFolder& state) {
  const auto reply = ask_control(state.control_socket(), nlohmann::json{{"manages", name}}.dump());
  if (!reply) return std::nullopt;
  const nlohmann::json answer = nlohmann::json::parse(*reply, nullptr, false);
  if (!answer.is_object() || !answer.contains("manages") || !answer["manages"].is_boolean())
    throw Error(Remedy::retry, "the running agent does not understand the question; is it of another version?");
  return answer["manages"].get<bool>();
}

int remove(const CommandLine& command_line, const Environment& environment) {
  const std::string& name = command_line.arguments.front();
  const Configuration configuration = load_configuration(command_line, environment);
  const StateFolder state(configuration.state_dir);
  become_owner_of(state);
  require_known(name, state);
  for (const CertificateSettings& settings : configuration.certificates)
    if (settings.name == name)
      refuse("the configuration still has '" + name + "' (" + settings.place +
             "): take it out there, have a running agent read that (SIGHUP), and remove it then");
  const std::optional<bool> looked_after = is_looked_after(name, state);
  if (looked_after == true)
    refuse("the agent that runs still looks after '" + name +
           "': have it read the configuration again (SIGHUP), or stop it");
  std::optional<FileLock> lock;
  if (!looked_after) lock = lock_state(state, "try again when it is up, or stop it first");

  const CertificateState certificate = state.certificate(name);
  const Record record = certificate.peek_record();
  std::vector<std::string> folders = record.further_dirs;
  folders.push_back(record.cert_dir.empty() ? state.live(name) : record.cert_dir);
  std::vector<std::string> left;
  for (const std::string& folder : folders) {
    if (command_line.files) remove_files(folder);
    std::error_code none;
    if (fs::exists(folder, none)) left.push_back(folder);
  }
  remove_path(certificate.folder());
  std::cout << name << ": removed";
  if (!left.empty())
    std::cout << "; " << (command_line.files ? "not ours and left: " : "the files stay, with their key, in ")
              << join(left);
  std::cout << "\n";
  return exit_ok;
}

}  // namespace acme_agent
