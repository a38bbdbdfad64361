#include <algorithm>
#include <system_error>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/doctor/mosquitto_conf.hpp>
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
    std::vector<fs::path> files;
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator(below(root_, folder), ignored))
      if (entry.path().extension() == ".conf") files.push_back(folder / entry.path().filename());
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) read(file);
  }

  const fs::path root_;
  MosquittoConf conf_;
  std::size_t files_ = 0;
  bool in_bridge_ = false;
};

}  // namespace

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

}  // namespace acme_agent
