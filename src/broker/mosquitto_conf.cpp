#include <algorithm>
#include <system_error>

#include <acme_agent/base/entries.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/mosquitto_conf.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_files = 100;

fs::path below(const fs::path& root, const fs::path& path) {
  return root / path.relative_path();
}

class Reading {
 public:
  explicit Reading(fs::path root) : root_(std::move(root)) {
    conf_.listeners.push_back({"the default listener", "", {}});
  }

  void read(const fs::path& path) {
    if (++files_ > most_files) throw Error(Remedy::ask_operator, "mosquitto.conf includes too many files");
    const std::optional<Secret> text = read_file(below(root_, path));
    if (!text) throw Error(Remedy::ask_operator, "there is no " + printable(path.native()));
    std::string_view rest = text->reveal();
    for (std::size_t number = 1; !rest.empty(); ++number) {
      const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
      take(rest.substr(0, end + 1), path, number);
      rest.remove_prefix(end + 1);
    }
  }

  MosquittoConf result() && { return std::move(conf_); }

 private:
  /// A key, white space, and the rest of the line.
  void take(std::string_view line, const fs::path& path, std::size_t number) {
    const std::string_view text = trim(line);
    if (text.empty() || text.front() == '#') return;
    const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
    MosquittoConf::Setting setting{std::string(text.substr(0, end)), std::string(trim(text.substr(end))),
                                   printable(path.native()) + ":" + std::to_string(number)};
    if (setting.key == "include_dir") return include(setting.value);
    if (setting.key == "listener") {
      const std::string port = setting.value.substr(0, setting.value.find_first_of(" \t"));
      conf_.listeners.push_back({"listener " + printable(port, 20), setting.place, {}});
      in_bridge_ = false;
    } else if (setting.key == "connection") {
      conf_.bridges.push_back({"connection " + printable(setting.value, 80), setting.place, {}});
      in_bridge_ = true;
    } else if (in_bridge_) {
      conf_.bridges.back().settings.push_back(std::move(setting));
    } else {
      conf_.listeners.back().settings.push_back(std::move(setting));
    }
  }

  void include(const fs::path& folder) {
    conf_.include_dirs.push_back(folder.string());
    std::vector<fs::path> files;
    std::error_code ignored;
    for (const fs::path& entry : entries_of(below(root_, folder), ignored))
      if (entry.extension() == ".conf") files.push_back(folder / entry.filename());
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) read(file);
  }

  const fs::path root_;
  MosquittoConf conf_;
  std::size_t files_ = 0;
  bool in_bridge_ = false;
};

}  // namespace

std::string MosquittoConf::Setting::text() const {
  return printable(place) + " says '" + printable(key + " " + value) + "'";
}

const MosquittoConf::Setting* MosquittoConf::Section::find(std::string_view key) const {
  const auto found =
      std::find_if(settings.rbegin(), settings.rend(), [&](const Setting& setting) { return setting.key == key; });
  return found == settings.rend() ? nullptr : &*found;
}

std::string MosquittoConf::Section::value(std::string_view key) const {
  const Setting* found = find(key);
  return found == nullptr ? "" : found->value;
}

const MosquittoConf::Setting* MosquittoConf::find_anywhere(std::string_view key) const {
  for (auto listener = listeners.rbegin(); listener != listeners.rend(); ++listener)
    if (const Setting* found = listener->find(key)) return found;
  return nullptr;
}

MosquittoConf read_mosquitto_conf(const fs::path& path, const fs::path& root) {
  Reading reading(root);
  reading.read(path);
  return std::move(reading).result();
}

std::vector<ReloadHazard> find_reload_hazards(const MosquittoConf& conf, const fs::path& root,
                                              const std::optional<Process>& broker) {
  constexpr const char* ends = "Mosquitto 2.1 ends at a reload then";
  const std::pair<const char*, const char*> rules[] = {
      {"password_file", ends},
      {"acl_file", ends},
      {"crlfile", "at a reload Mosquitto 2.0 lets revoked devices in then, and 2.1 ends"},
      {"cafile", ends}};
  std::vector<ReloadHazard> hazards;
  for (const auto& [key, consequence] : rules) {
    for (const MosquittoConf::Section& listener : conf.listeners) {
      const MosquittoConf::Setting* setting = listener.find(key);
      if (setting == nullptr || (key == std::string_view("cafile") && listener.find("crlfile") == nullptr)) continue;
      const fs::path path = below(root, setting->value);
      std::error_code unknown;
      if (!fs::exists(path, unknown)) {
        if (!unknown)
          hazards.push_back(
              {setting->text() + ", and there is no such file: " + consequence, "put it there, or remove the line"});
      } else if (const auto why = broker ? why_unreadable(*broker, path, root) : std::nullopt) {
        hazards.push_back({setting->text() + ", and " + *why + ": " + consequence, "let the broker's user read it"});
      }
    }
  }
  return hazards;
}

std::optional<MosquittoPlace> find_mosquitto(const Process& broker) {
  const std::string proc = "/proc/" + std::to_string(broker.pid);
  try {
    const std::optional<Secret> line = read_file(proc + "/cmdline", 65536);
    if (!line) return std::nullopt;
    const std::vector<std::string> words = split(line->reveal(), '\0');
    if (words.empty()) return std::nullopt;  // it ends just now
    std::error_code hidden;                  // where we may not look, what it was started as must do
    fs::path program = fs::read_symlink(proc + "/exe", hidden);
    if (hidden) program = fs::weakly_canonical(words.front(), hidden);
    if (broker.name != "mosquitto" && program.filename() != "mosquitto") return std::nullopt;
    const auto option = std::find_if(words.begin(), words.end(),
                                     [](const std::string& word) { return word == "-c" || word == "--config-file"; });
    if (option == words.end() || option + 1 == words.end()) return std::nullopt;
    fs::path conf = option[1];
    if (conf.is_relative()) conf = fs::read_symlink(proc + "/cwd") / conf;
    // The same root folder may have other mounts; where we may not look, it has to do.
    const fs::path mounts = fs::read_symlink(proc + "/ns/mnt", hidden);
    const bool ours = broker.sees_our_paths && (hidden || mounts == fs::read_symlink("/proc/self/ns/mnt"));
    return MosquittoPlace{conf, ours ? fs::path("/") : fs::path(proc + "/root")};
  } catch (const std::exception&) {  // we may not look
    return std::nullopt;
  }
}

}  // namespace acme_agent
