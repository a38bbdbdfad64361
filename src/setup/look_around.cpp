#include <array>
#include <fstream>

#include <acme_agent/base/text.hpp>
#include <acme_agent/setup/proposal.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

constexpr std::uint16_t http_port = 80;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool has_unit(const fs::path& root) {
  constexpr std::array folders = {"etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system",
                                  "lib/systemd/system"};
  for (const char* folder : folders)
    if (is_there(root / folder / "acme-agent.service")) return true;
  return false;
}

/// In the order in which Docker Compose looks for it.
fs::path compose_file_in(const fs::path& folder) {
  for (const char* name : {"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}) {
    std::ifstream file(folder / name);
    for (std::string line; std::getline(file, line);)
      if (line.starts_with(' ') && trim(line) == "mosquitto:") return folder / name;
  }
  return {};
}

}  // namespace

Surroundings look_around(const Processes& processes, const fs::path& root, const fs::path& here) {
  Surroundings seen;
  const std::vector<Process> brokers = processes.find("mosquitto");
  MosquittoPlace place{"/etc/mosquitto/mosquitto.conf", root};
  seen.compose = compose_file_in(here);
  if (!seen.compose.empty()) place = {here / "volumes/mosquitto/config/mosquitto.conf", "/"};  // as IOTstack has it
  if (!brokers.empty()) {
    seen.broker = brokers.front();
    if (const auto known = find_mosquitto(*seen.broker)) place = *known;
  }
  if (is_there(place.root / place.conf.relative_path())) {
    seen.conf_path = place.conf;
    try {
      seen.conf = read_mosquitto_conf(place.conf, place.root);
    } catch (const Error&) {
    }
  }
  seen.systemd = is_there(root / "run/systemd/system");  // sd_booted(3)
  seen.service = seen.systemd && has_unit(root);
  seen.port_80_holder = describe_port_holder(http_port);
  return seen;
}

void leave_what_is_there(Proposal& proposal, const FirstCertificate& wanted) {
  std::erase_if(proposal.files, [&](const Proposal::File& file) {
    std::error_code unseen;
    if (!fs::exists(fs::symlink_status(file.path, unseen))) return false;
    std::string text;
    try {
      if (const std::optional<Secret> lies = read_file(file.path)) text = lies->reveal();
    } catch (const Error&) {
    }
    const std::string path = printable(file.path.native());
    if (text == file.content)
      proposal.found.push_back(path + " is there already; it stays as it is.");
    else
      proposal.by_hand.push_back(path + " is there already, and it is not what this would write for " + wanted.name +
                                 ". It stays as it is: change it by hand, or take it away and run this again, for:\n" +
                                 file.content);
    return true;
  });
}

}  // namespace acme_agent
