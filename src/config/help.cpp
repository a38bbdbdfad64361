#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/config/configuration.hpp>

#include "command.hpp"
#include "option.hpp"

namespace acme_agent {
namespace {

constexpr std::size_t width = 79;

/// `text` with lines of at most `width` characters, every one but the first behind `indent` spaces.
std::string wrapped(std::string_view text, std::size_t indent) {
  std::string lines;
  std::size_t column = indent;
  for (const std::string& word : split(text, ' ')) {
    if (column > indent && column + 1 + word.size() > width) {
      lines += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      lines += ' ';
      ++column;
    }
    lines += word;
    column += word.size();
  }
  return lines;
}

std::string entry(const std::string& head, std::string_view meaning, std::size_t indent) {
  const std::size_t gap = head.size() + 2 <= indent ? indent - head.size() : 2;
  return head + std::string(gap, ' ') + wrapped(meaning, indent) + "\n";
}

/// "  -d, --domain NAME"
std::string head_of(const Option& option) {
  std::string head = option.short_name == '\0' ? "      --" : std::string("  -") + option.short_name + ", --";
  head += option.name;
  if (!option.flag()) head += " " + std::string(option.argument);
  return head;
}

std::string overview() {
  std::string page =
      "Keeps the TLS certificate of an MQTT broker renewed, in place, and served.\n\n"
      "Usage: acme-agent [COMMAND] [OPTION...]\n";
  std::string others;
  for (const Command& command : commands()) {
    if (command.everyday)
      page += entry("  " + std::string(command.name) + " " + std::string(command.arguments), command.meaning, 20);
    else if (!command.page.empty())
      others += (others.empty() ? "" : ", ") + std::string(command.name);
  }
  page += entry("  and", others, 20);
  page += "\nOptions that most set-ups need (all of them: acme-agent help options):\n";
  for (const Option& option : options())
    if (option.overview) page += entry(head_of(option), option.meaning, 27);
  page +=
      "\nNext, a trial that costs nothing of the real server's limits:\n"
      "  acme-agent --dry-run --domain mydyn.example\n";
  return page;
}

std::string options_page() {
  std::string page = wrapped(
      "Every option but the last group is also a key of the configuration file (cert-dir = DIR) and a variable of the "
      "environment ($ACME_AGENT_CERT_DIR; lists have one value a line). Command line beats environment, environment "
      "beats file, file beats default.",
      0);
  page += "\n";
  std::string_view group;
  for (const Option& option : options()) {
    if (option.group != group) page += "\n" + std::string(option.group) + "\n";
    group = option.group;
    page += head_of(option) + "\n" + std::string(10, ' ') + wrapped(option.full_meaning(), 10) + "\n";
  }
  page +=
      "\nA configuration file:\n"
      "  email = me@mydyn.example\n"
      "\n"
      "  [mydyn.example]\n"
      "  domain = mydyn.example\n"
      "  domain = mqtt.mydyn.example\n"
      "\nNext: acme-agent check\n";
  return page;
}

}  // namespace

std::string help_text(const std::string& topic) {
  if (topic.empty()) return overview();
  if (topic == "options") return options_page();
  const Command* const command = find_command(topic);
  if (command != nullptr) return command->page.empty() ? overview() : std::string(command->page);
  if (nearest(topic, {"options"}).empty()) throw Error(Remedy::ask_operator, refuse_command(topic));
  throw Error(Remedy::ask_operator, "no help about '" + printable(topic, 80) + "': did you mean 'options'?");
}

}  // namespace acme_agent
