#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/sys/processes.hpp>

namespace acme_agent {

/// mosquitto.conf(5) as far as certificates have to do with it.
struct MosquittoConf {
  struct Setting {
    std::string key;
    std::string value;
    std::string place;  ///< "mosquitto.conf:12", with the path as Mosquitto sees it.

    /// "mosquitto.conf:12 says 'cafile chain.pem'"
    std::string text() const;
  };

  /// What stands below a `listener`, or below a `connection` (a bridge).
  struct Section {
    std::string name;  ///< "listener 8883", "connection cloud".
    std::string place;
    std::vector<Setting> settings;

    /// The last one of that key; null if there is none.
    const Setting* find(std::string_view key) const;
    /// Its value; empty if there is none.
    std::string value(std::string_view key) const;
  };

  /// The first one is the default listener, with all that stands above any other: much of that is for the whole broker.
  std::vector<Section> listeners;
  std::vector<Section> bridges;
  std::vector<std::string> include_dirs;  ///< As Mosquitto sees them.

  /// The last one of that key in any listener: what is for the whole broker may stand below any of them.
  const Setting* find_anywhere(std::string_view key) const;
};

/// A file that a reload would trip over.
struct ReloadHazard {
  std::string evidence;
  std::string remedy;
};

/// Reads `path` and, where it says so, *.conf of its include_dir, each of them below `root`: the root folder of the
/// broker as we see it ("/" or "/proc/812/root"). Throws Error if a file cannot be read or is larger than 1 MiB.
MosquittoConf read_mosquitto_conf(const std::filesystem::path& path, const std::filesystem::path& root);

/// The configuration file and the root folder of a running Mosquitto, from its command line; nothing if it has none or
/// we may not look.
struct MosquittoPlace {
  std::filesystem::path conf;
  std::filesystem::path root;
};
std::optional<MosquittoPlace> find_mosquitto(const Process& broker);

/// What Mosquitto reads again at a reload besides certificate and key, and cannot: one sentence with what comes of it
/// and what to do, or nothing. `broker` nothing: whether it may read the files is not looked at.
std::vector<ReloadHazard> find_reload_hazards(const MosquittoConf& conf, const std::filesystem::path& root,
                                              const std::optional<Process>& broker);

}  // namespace acme_agent
