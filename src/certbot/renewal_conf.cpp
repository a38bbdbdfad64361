#include <algorithm>
#include <optional>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/certbot/renewal_conf.hpp>

namespace acme_agent {
namespace {

[[noreturn]] void refuse(std::size_t line, const std::string& why) {
  throw Error(Remedy::ask_operator, "line " + std::to_string(line) + ": " + why);
}

bool is_control(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
}

/// One element of a list, from the front of `rest`; what is left begins at the comma, the comment or the end.
std::string take_element(std::string_view& rest, std::size_t line) {
  if (rest.starts_with('"') || rest.starts_with('\'')) {
    const std::size_t end = rest.find(rest.front(), 1);
    if (end == std::string_view::npos || rest.starts_with("'''") || rest.starts_with("\"\"\""))
      refuse(line, "a value does not end in the line where it begins");
    std::string element(rest.substr(1, end - 1));
    rest = trim(rest.substr(end + 1));
    if (!rest.empty() && rest.front() != ',' && rest.front() != '#')
      refuse(line, "something follows behind the quotes");
    return element;
  }
  const std::size_t end = std::min(rest.find_first_of(",#"), rest.size());
  std::string element(trim(rest.substr(0, end)));
  rest = rest.substr(end);
  return element;
}

std::vector<std::string> parse_value(std::string_view text, std::size_t line) {
  std::vector<std::string> elements;
  std::string_view rest = trim(text);
  while (!rest.empty() && rest.front() != '#') {
    elements.push_back(take_element(rest, line));
    if (rest.starts_with(',')) rest = trim(rest.substr(1));
  }
  return elements;
}

/// "[[webroot_map]]" is two deep; nothing if it is no heading.
struct Heading {
  std::size_t depth;
  std::string_view name;
};
std::optional<Heading> parse_heading(std::string_view line) {
  const std::size_t depth = std::min(line.find_first_not_of('['), line.size());
  if (depth == 0) return std::nullopt;
  const std::size_t end = line.find(']', depth);
  if (end == std::string_view::npos || line.substr(end, depth) != std::string(depth, ']')) return Heading{0, ""};
  return Heading{depth, trim(line.substr(depth, end - depth))};
}

}  // namespace

std::string RenewalConf::param(std::string_view key) const {
  const auto found = params.find(key);
  if (found == params.end()) return "";
  std::string text;
  for (const std::string& element : found->second) text += (text.empty() ? "" : ", ") + element;
  return text == "None" ? "" : text;
}

RenewalConf parse_renewal_conf(std::string_view text) {
  RenewalConf conf;
  RenewalConf::Values aside;
  RenewalConf::Values* section = &conf.top;
  std::string outer;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.empty() || line.front() == '#') continue;
    if (std::any_of(line.begin(), line.end(), is_control)) refuse(number, "there are control characters in it");
    if (const std::optional<Heading> heading = parse_heading(line)) {
      if (heading->depth == 0) refuse(number, "a section's name does not end");
      if (heading->depth == 1) outer = heading->name;
      aside.clear();
      section = &aside;
      if (heading->depth == 1 && heading->name == "renewalparams") section = &conf.params;
      if (heading->depth == 2 && outer == "renewalparams" && heading->name == "webroot_map") section = &conf.webroots;
      continue;
    }
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos || equals == 0) refuse(number, "it is not of the form key = value");
    const std::string key(trim(line.substr(0, equals)));
    if (!section->emplace(key, parse_value(line.substr(equals + 1), number)).second)
      refuse(number, "'" + printable(key, 80) + "' is given twice");
  }
  return conf;
}

}  // namespace acme_agent
