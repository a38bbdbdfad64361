#include <acme_agent/base/text.hpp>

#include "reference.hpp"

namespace acme_agent {
namespace {

/// Which options go with a command, as a shell pattern: "renew|account".
std::string any_of(std::string_view words) {
  std::string pattern;
  for (const std::string& word : split(words, ' ')) pattern += (pattern.empty() ? "" : "|") + word;
  return pattern;
}

std::string spaced(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

std::string long_name(const Option& option) {
  return "--" + std::string(option.name);
}

/// As a word of a shell that is taken as it stands.
std::string in_quotes(std::string_view text) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? "'\\''" : std::string(1, c);
  return word + "'";
}

/// Reads the names of sections from the configuration that holds; $file is that of --config, or empty.
constexpr std::string_view sections =
    R"(sed -n 's/^[[:space:]]*\[\([^]]*\)\][[:space:]]*$/\1/p' "${file:-/etc/acme-agent/acme-agent.conf}" /etc/acme-agent/conf.d/*.conf 2>/dev/null)";

std::string all_commands() {
  std::vector<std::string> names;
  for (const Command& command : commands()) names.emplace_back(command.name);
  return spaced(names);
}

/// The action of zsh's _arguments for such a value.
std::string zsh_words(const std::vector<std::string>& words) {
  std::string list;
  for (const std::string& word : words) {
    list += list.empty() ? "" : " ";
    for (const char c : word) list += c == ':' ? std::string("\\:") : std::string(1, c);
  }
  return "(" + list + ")";
}

std::string zsh_action(const Option& option) {
  if (!option.words.empty()) return zsh_words(split(option.words, ' '));
  if (takes_file(option)) return "_files";
  if (takes_folder(option)) return "_files -/";
  return "";
}

/// For the brackets of _arguments.
std::string zsh_meaning(std::string_view text) {
  std::string escaped;
  for (const char c : text) escaped += std::string(c == '[' || c == ']' || c == ':' || c == '\\' ? "\\" : "") + c;
  return escaped;
}

}  // namespace

std::string bash_completion() {
  std::string text = R"(# Completion of acme-agent for bash, made by 'acme-agent help --format bash'.

_acme_agent() {
  local line=${COMP_LINE:0:COMP_POINT} word name file= command= given= value head= at=0 breaks i
  local -a words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  local cur=${words[-1]} option=

  # The command, the words behind it, and the option whose value is wanted.
  for ((i = 1; i < ${#words[@]} - 1; i++)); do
    word=${words[i]}
    if [[ $word == -- ]]; then return; fi
    if [[ $word == --config=* ]]; then file=${word#*=}; fi
    if [[ $option ]]; then
      [[ $option == --config ]] && file=$word
      option=
      continue
    fi
    case $word in
)";
  std::string with_value;
  for (const Option& option : options()) {
    if (option.flag()) continue;
    with_value += (with_value.empty() ? "" : " | ") + long_name(option);
    if (option.short_name != '\0') with_value += std::string(" | -") + option.short_name;
  }
  text += "      " + with_value + R"() option=$word ;;
      -*) ;;
      *) if [[ $command ]]; then ((at += 1)); else command=$word; fi ;;
    esac
  done
  value=$cur
  if [[ ! $option && $cur == --*=* ]]; then
    option=${cur%%=*} head=$option= value=${cur#*=}
  fi

  local names= paths=
  case $option in
    "")
      if [[ $cur == -* ]]; then
        names=")";
  std::vector<std::string> everywhere;
  for (const Option& option : options())
    if (option.commands.empty()) everywhere.push_back(long_name(option));
  text += spaced(everywhere) + "\"\n";
  for (const Option& option : options()) {
    if (option.commands.empty()) continue;
    const std::string pattern = any_of(option.commands);
    text += "        [[ ${command:-run} == @(" + pattern + ") ]] && names+=\" " + long_name(option) + "\"\n";
  }
  text += "      elif [[ ! $command ]]; then\n        names=\"" + all_commands() + R"("
      else
        case $command:$at in
)";
  for (const Command& command : commands()) {
    const std::vector<Place> places = places_of(command);
    for (std::size_t at = 0; at < places.size(); ++at) {
      const Place& place = places[at];
      const bool last = at + 1 == places.size() && command.most_arguments > places.size();
      text += "          " + std::string(command.name) + ":" + (last ? "*" : std::to_string(at)) + ")";
      if (!place.words.empty()) text += " names=\"" + spaced(place.words) + "\"";
      if (place.certificate)
        text += (place.words.empty() ? " names=" : "; names+=\" \"") + std::string("$(") + std::string(sections) + ")";
      if (place.file) text += "; paths=-f";
      if (place.folder) text += " paths=-d";
      text += " ;;\n";
    }
  }
  text += "        esac\n      fi\n      ;;\n";
  for (const Option& option : options()) {
    if (option.words.empty() && !takes_file(option) && !takes_folder(option)) continue;
    text += "    " + long_name(option) + ")";
    if (!option.words.empty()) text += " names=" + in_quotes(option.words);
    if (takes_file(option)) text += " paths=-f";
    if (takes_folder(option)) text += " paths=-d";
    text += " ;;\n";
  }
  text += R"(  esac

  COMPREPLY=()
  while read -r name; do COMPREPLY+=("$head$name"); done < <(compgen -W "$names" -- "$value")
  if [[ $paths ]]; then
    compopt -o filenames
    while read -r name; do COMPREPLY+=("$head$name"); done < <(compgen "$paths" -- "$value")
  fi
  [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *: ]] && compopt -o nospace
  # Readline replaces only what follows the last letter that splits words.
  breaks=${COMP_WORDBREAKS//[^:=]/}
  [[ $breaks ]] && COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*["$breaks"]}"}"}")
}
complete -F _acme_agent acme-agent
)";
  return text;
}

std::string zsh_completion() {
  std::string text =
      "#compdef acme-agent\n# Completion of acme-agent for zsh, made by 'acme-agent help --format zsh'.\n\n"
      "_acme_agent_certificates() {\n  local file=${(v)opt_args[--config]}\n  local -a names\n  names=(${(f)\"$(" +
      std::string(sections) +
      ")\"})\n  compadd -a names\n}\n\n_acme_agent() {\n  local curcontext=\"$curcontext\" state line command\n"
      "  typeset -A opt_args\n  local -a specs commands\n  command=${${(@)words[2,-1]:#-*}[1]}\n  specs=(\n";
  std::string some;
  for (const Option& option : options()) {
    std::string spec = long_name(option) + (option.flag() ? "" : "=") + "[" + zsh_meaning(short_meaning(option)) + "]";
    if (!option.flag()) spec += ":" + zsh_meaning(option.argument) + ":" + zsh_action(option);
    if (option.repeatable) spec = "*" + spec;
    std::string lines = in_quotes(spec);
    if (option.short_name != '\0') {
      const std::size_t name = spec.find("--");
      const std::string rest = spec.substr(name + long_name(option).size() + (option.flag() ? 0 : 1));
      lines += " " + in_quotes(spec.substr(0, name) + "-" + option.short_name + (option.flag() ? "" : "+") + rest);
    }
    if (option.commands.empty())
      text += "    " + lines + "\n";
    else
      some += "  [[ ${command:-run} == (" + any_of(option.commands) + ") ]] && specs+=(" + lines + ")\n";
  }
  text += "  )\n" + some + "  commands=(\n";
  for (const Command& command : commands())
    text += "    " + in_quotes(std::string(command.name) + ":" + std::string(command.meaning)) + "\n";
  text += R"(  )
  _arguments -C -s -S : $specs '1:command:->command' '*:argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      case $line[1]:$((${#line} - 1)) in
)";
  for (const Command& command : commands()) {
    const std::vector<Place> places = places_of(command);
    for (std::size_t at = 0; at < places.size(); ++at) {
      const Place& place = places[at];
      const bool last = at + 1 == places.size() && command.most_arguments > places.size();
      text += "        " + std::string(command.name) + ":" + (last ? "*" : std::to_string(at + 1)) + ")";
      if (!place.words.empty()) text += " compadd " + spaced(place.words) + ";";
      if (place.certificate) text += " _acme_agent_certificates;";
      if (place.file) text += " _files;";
      if (place.folder) text += " _files -/;";
      text += ";\n";
    }
  }
  text += "      esac\n      ;;\n  esac\n}\n\n_acme_agent \"$@\"\n";
  return text;
}

std::string fish_completion() {
  std::string text =
      "# Completion of acme-agent for fish, made by 'acme-agent help --format fish'.\n\n"
      "function __acme_agent_certificates\n"
      "    set -l file /etc/acme-agent/acme-agent.conf\n"
      "    set -l words (string replace -r -- '^--config=' '--config ' (commandline -opc) | string split -- ' ')\n"
      "    set -l at (contains -i -- --config $words); and set file $words[(math $at + 1)]\n"
      "    set -l more /etc/acme-agent/conf.d/*.conf\n"
      "    string replace -rf '^\\s*\\[(.*)\\]\\s*$' '$1' <(cat $file $more 2>/dev/null | psub)\n"
      "end\n\n"
      "complete -c acme-agent -f\n";
  const std::string any = all_commands();
  for (const Command& command : commands())
    text += "complete -c acme-agent -n " + in_quotes("not __fish_seen_subcommand_from " + any) + " -a " +
            std::string(command.name) + " -d " + in_quotes(command.meaning) + "\n";
  for (const Command& command : commands()) {
    const std::string condition = " -n " + in_quotes("__fish_seen_subcommand_from " + std::string(command.name));
    for (const Place& place : places_of(command)) {
      if (!place.words.empty())
        text += "complete -c acme-agent" + condition + " -a " + in_quotes(spaced(place.words)) + "\n";
      if (place.certificate) text += "complete -c acme-agent" + condition + " -a '(__acme_agent_certificates)'\n";
      if (place.file) text += "complete -c acme-agent" + condition + " -F\n";
      if (place.folder) text += "complete -c acme-agent" + condition + " -a '(__fish_complete_directories)'\n";
    }
  }
  for (const Option& option : options()) {
    text += "complete -c acme-agent -l " + std::string(option.name);
    if (option.short_name != '\0') text += std::string(" -s ") + option.short_name;
    if (option.goes_with("run") && !option.commands.empty())
      text += " -n " + in_quotes("not __fish_seen_subcommand_from " + any + "; or __fish_seen_subcommand_from " +
                                 std::string(option.commands));
    else if (!option.commands.empty())
      text += " -n " + in_quotes("__fish_seen_subcommand_from " + std::string(option.commands));
    if (!option.flag()) text += takes_file(option) ? " -r" : " -x";
    if (!option.words.empty()) text += " -a " + in_quotes(option.words);
    if (takes_file(option)) text += " -F";
    if (takes_folder(option)) text += " -a '(__fish_complete_directories)'";
    text += " -d " + in_quotes(short_meaning(option)) + "\n";
  }
  return text;
}

}  // namespace acme_agent
