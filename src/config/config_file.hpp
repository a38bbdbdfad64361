#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "complaints.hpp"
#include "layer.hpp"

namespace acme_agent {

/// `[NAME]` and the keys below it.
struct Section {
  std::string name;
  std::string place;  ///< "agent.conf:7".
  Layer layer;
};

/// What the configuration files say, taken together as if they were one.
class ConfigFiles {
 public:
  explicit ConfigFiles(Complaints& complaints) : complaints_(complaints) {}

  /// `file`, then conf.d/*.conf beside it, in the order of their names.
  void read(const std::filesystem::path& file, bool must_exist);

  /// Keys above the first section of their file.
  const Layer& defaults() const { return defaults_; }
  const std::vector<Section>& sections() const { return sections_; }

 private:
  void read_file(const std::filesystem::path& file);
  void read_text(std::string_view text, const std::string& file);
  void read_key(std::string_view line, const std::string& place, Layer& layer);
  Layer& open_section(std::string_view line, const std::string& place);

  Complaints& complaints_;
  std::shared_ptr<const std::filesystem::path> folder_;  ///< Of the file that is being read.
  Layer defaults_;
  std::vector<Section> sections_;
  std::unordered_map<std::string, std::string> places_;  ///< Of the sections, by name.
  Layer refused_;                                        ///< What stands in a section that was complained about.
};

}  // namespace acme_agent
