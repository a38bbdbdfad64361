#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace acme_agent {

/// mosquitto.conf(5) as far as certificates have to do with it.
struct MosquittoConf {
  struct Setting {
    std::string key;
    std::string value;
    std::string place;  ///< "mosquitto.conf:12", with the path as Mosquitto sees it.
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

  /// The last one of that key in any listener: what is for the whole broker may stand below any of them.
  const Setting* find_anywhere(std::string_view key) const;
};

/// Reads `path` and, where it says so, *.conf of its include_dir, each of them below `root`: the root folder of the
/// broker as we see it ("/" or "/proc/812/root"). Throws Error if a file cannot be read or is larger than 1 MiB.
MosquittoConf read_mosquitto_conf(const std::filesystem::path& path, const std::filesystem::path& root);

}  // namespace acme_agent
