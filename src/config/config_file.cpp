#include "config_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <system_error>

#include <acme_agent/base/entries.hpp>
#include <acme_agent/base/text.hpp>

#include "option.hpp"
#include "setters.hpp"

namespace acme_agent {
namespace {

constexpr std::size_t largest_file = 16 << 20;
constexpr std::size_t longest_line = 64 << 10;
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// UTF-8 without control characters but tabs.
bool is_text(std::string_view line) {
  const bool plain = std::all_of(line.begin(), line.end(), [](char c) { return c == '\t' || (c >= ' ' && c <= '~'); });
  if (plain) return true;
  std::string without_tabs(line);
  std::replace(without_tabs.begin(), without_tabs.end(), '\t', ' ');
  return printable(without_tabs, std::string::npos) == without_tabs;
}

}  // namespace

void ConfigFiles::read(const std::filesystem::path& file, bool must_exist) {
  std::error_code error;
  const bool exists = std::filesystem::exists(file, error);
  if (exists || error) {
    read_file(file);
  } else if (must_exist) {
    complaints_.add("there is no configuration file " + printable(file.string()) + ": check what --config says");
  }

  const std::filesystem::path folder = file.parent_path() / "conf.d";
  if (!std::filesystem::is_directory(folder, error)) return;
  std::vector<std::filesystem::path> files;
  for (const std::filesystem::path& entry : entries_of(folder, error)) {
    const std::string name = entry.filename().string();
    if (name.ends_with(".conf") && !name.starts_with(".")) files.push_back(entry);
  }
  if (error) {
    complaints_.add("cannot list the configuration files in " + printable(folder.string()) + ": " + error.message());
  }
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& each : files) read_file(each);
}

void ConfigFiles::read_file(const std::filesystem::path& file) {
  const std::string shown = printable(file.string());
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::string text;
  std::array<char, 65536> part;
  while (stream && text.size() <= largest_file) {
    stream.read(part.data(), part.size());
    text.append(part.data(), static_cast<std::size_t>(stream.gcount()));
  }
  if (!stream.is_open() || stream.bad()) {
    return complaints_.add("cannot read the configuration file " + shown + ": " +
                           std::generic_category().message(errno));
  }
  if (text.size() > largest_file) {
    return complaints_.add(shown + ": it is larger than 16 MiB, so it cannot be a configuration file of acme-agent");
  }
  std::error_code gone;
  folder_ = std::make_shared<const std::filesystem::path>(std::filesystem::absolute(file, gone).parent_path());
  read_text(text, shown);
}

void ConfigFiles::read_text(std::string_view text, const std::string& file) {
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  Layer* layer = &defaults_;
  for (int number = 1; !text.empty() && !complaints_.full(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));

    const std::string place = file + ":" + std::to_string(number);
    if (line.size() > longest_line) {
      complaints_.add(place + ": the line is longer than 64 KiB; split it");
    } else if (!is_text(line)) {
      complaints_.add(place + ": the line is not plain UTF-8 text; save the file as UTF-8, without control characters");
    } else if (line.starts_with('[')) {
      layer = &open_section(line, place);
    } else if (!line.empty() && line.front() != '#' && line.front() != ';') {
      read_key(line, place, *layer);
    }
  }
}

Layer& ConfigFiles::open_section(std::string_view line, const std::string& place) {
  refused_.clear();
  if (line.back() != ']') {
    complaints_.add(place + ": " + printable(line, 80) + " is no section; write [NAME] and nothing behind it");
    return refused_;
  }
  const std::string name(trim(line.substr(1, line.size() - 2)));
  if (name.empty()) {
    complaints_.add(place + ": the section has no name; write [NAME], the name being that of the certificate");
    return refused_;
  }
  if (const std::string_view rule = broken_rule_of_name(name); !rule.empty()) {
    complaints_.add(place + ": [" + printable(name, 80) + "] cannot name a section: " + std::string(rule));
    return refused_;
  }
  const auto [other, added] = places_.emplace(name, place);
  if (!added) {
    complaints_.add(place + ": the section [" + name + "] is already at " + other->second + "; make them one");
    return refused_;
  }
  return sections_.emplace_back(Section{name, place, {}}).layer;
}

void ConfigFiles::read_key(std::string_view line, const std::string& place, Layer& layer) {
  const std::size_t equals = line.find('=');
  const std::string key(trim(line.substr(0, equals)));
  if (equals == std::string_view::npos || key.empty()) {
    return complaints_.add(place + ": '" + printable(line, 80) + "' is neither KEY = VALUE nor [NAME]");
  }
  const Option* const option = find_option(key);
  if (option == nullptr)
    return complaints_.add(place + ": " + refuse_unknown(Source::file, spelled(Source::file, key), key));
  if (option->command_line_only()) {
    return complaints_.add(place + ": '" + key + "' belongs on the command line only; remove it here");
  }
  if (option->set_agent != nullptr && &layer != &defaults_) {
    return complaints_.add(place + ": '" + key + "' is for the whole agent; write it above the first section");
  }
  const Setting setting{std::string(trim(line.substr(equals + 1))), place + ": " + key, folder_};
  add_setting(layer, *option, setting, complaints_);
}

}  // namespace acme_agent
