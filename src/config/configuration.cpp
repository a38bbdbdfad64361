#include <unistd.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include <acme_agent/base/name_constraint.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/config/configuration.hpp>

#include "complaints.hpp"
#include "config_file.hpp"
#include "layer.hpp"
#include "option.hpp"
#include "setters.hpp"

namespace acme_agent {
namespace {

constexpr std::string_view variable_prefix = "ACME_AGENT_";
/// Left to test programs, and what the programs of --alert are given.
constexpr std::string_view other_prefixes[] = {"ACME_AGENT_TEST_", "ACME_AGENT_ALERT_"};

std::string value_of(const Environment& environment, std::string_view name) {
  for (const auto& [variable, value] : environment.variables)
    if (variable == name) return value;
  return {};
}

std::shared_ptr<const std::filesystem::path> current_folder() {
  std::error_code gone;
  return std::make_shared<const std::filesystem::path>(std::filesystem::current_path(gone));
}

Layer built_in_layer(Complaints& complaints) {
  Layer layer;
  for (const Option& option : options()) {
    if (option.default_value.empty()) continue;
    const std::string place = "default of " + spelled(Source::command_line, option.name);
    add_setting(layer, option, {std::string(option.default_value), place, current_folder()}, complaints);
  }
  return layer;
}

Layer command_line_layer(const CommandLine& command_line, Complaints& complaints) {
  Layer layer;
  for (const auto& [name, value] : command_line.options) {
    const Option* const option = find_option(name);
    if (option == nullptr || option->command_line_only()) {
      complaints.add(refuse_unknown(Source::command_line, spelled(Source::command_line, name), name));
    } else {
      add_setting(layer, *option, {value, spelled(Source::command_line, name), current_folder()}, complaints);
    }
  }
  return layer;
}

/// The name of the option that this variable sets, if there is one.
std::string option_of_variable(std::string_view variable) {
  std::string name;
  for (const char c : variable.substr(variable_prefix.size())) {
    name += c == '_' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return name;
}

/// The others read the state folder, or may ask a running agent: they do without a certificate of ours.
bool needs_certificate(const CommandLine& command_line) {
  return command_line.command == "run" || command_line.command == "check" || command_line.command == "placeholder";
}

/// The others ask no server to issue.
bool may_order(const CommandLine& command_line) {
  for (const char* command : {"run", "renew", "check", "doctor", "init"})
    if (command_line.command == command) return true;
  return false;
}

bool needs_state(const CommandLine& command_line) {
  return command_line.command != "watch";
}

Layer environment_layer(const Environment& environment, Complaints& complaints) {
  Layer layer;
  for (const auto& [variable, value] : environment.variables) {
    if (!variable.starts_with(variable_prefix)) continue;
    const auto begins = [&name = variable](std::string_view other) { return name.starts_with(other); };
    if (std::ranges::any_of(other_prefixes, begins)) continue;
    const std::string name = option_of_variable(variable);
    const Option* const option = find_option(name);
    const std::string place = "$" + printable(variable, 80);
    if (option == nullptr || spelled(Source::environment, name) != "$" + variable) {
      complaints.add(refuse_unknown(Source::environment, place, name));
    } else if (option->command_line_only()) {
      complaints.add(place + ": '" + name + "' belongs on the command line only; unset the variable");
    } else if (option->repeatable) {
      for (const std::string& line : split(value, '\n'))
        add_setting(layer, *option, {line, place, current_folder()}, complaints);
    } else if (!value.empty()) {
      add_setting(layer, *option, {std::string(trim(value)), place, current_folder()}, complaints);
    }
  }
  return layer;
}

template <class Target>
void lay(const Layer& layer, void (*Option::*setter)(const Setting&, Target&), Target& over, Complaints& complaints) {
  for (const auto& [option, settings] : layer) {
    if (option->*setter == nullptr) continue;
    for (const Setting& setting : settings) {
      try {
        if (setting.value == "none" && settings.size() > 1) {
          throw Error(Remedy::ask_operator, "'none' must stand alone; remove it or the others");
        }
        (option->*setter)(setting, over);
      } catch (const Error& error) {
        complaints.add(setting.place + ": " + error.message());
      }
    }
  }
}

void lay_over(const Layer& layer, CertificateSettings& certificate, Complaints& complaints) {
  lay(layer, &Option::set_certificate, certificate, complaints);
}

void lay_over(const Layer& layer, Configuration& configuration, Complaints& complaints) {
  lay(layer, &Option::set_agent, configuration, complaints);
}

std::filesystem::path default_state_dir(const Environment& environment, Complaints& complaints) {
  // systemd lists several folders with colons between them.
  const std::vector<std::string> given = split(value_of(environment, "STATE_DIRECTORY"), ':');
  if (!given.empty() && given.front().starts_with('/')) return given.front();
  if (environment.root) return "/var/lib/acme-agent";
  const std::filesystem::path state_home = value_of(environment, "XDG_STATE_HOME");
  if (state_home.is_absolute()) return state_home / "acme-agent";
  const std::filesystem::path home = value_of(environment, "HOME");
  if (home.is_absolute()) return home / ".local/state/acme-agent";
  complaints.add(
      "there is no folder to keep certificates in, as neither $STATE_DIRECTORY nor $XDG_STATE_HOME nor $HOME "
      "is set: give --state-dir DIR");
  return {};
}

/// "_.example.org" for "*.example.org", "2001-db8--1" for an address: what can be the name of a folder.
std::string name_for(const Identifier& identifier) {
  std::string name = identifier.value;
  std::replace(name.begin(), name.end(), '*', '_');
  std::replace(name.begin(), name.end(), ':', '-');
  return name;
}

/// Means something else, or nothing, in the next network (RFC 1918, 3927, 4193, 6761, 6762, 8375).
bool is_of_one_network(Identifier name) {
  static const std::vector<NameConstraint> all = [] {
    std::vector<NameConstraint> parsed;
    for (const std::string_view text :
         {"local", "localhost", "lan", "home", "home.arpa", "internal", "intranet", "localdomain", "10.0.0.0/8",
          "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"})
      parsed.push_back(parse_name_constraint(text));
    return parsed;
  }();
  if (name.wildcard()) name.value.erase(0, 2);
  return permitted(name, all);
}

/// Where the broker will find the certificate.
std::string folder_of(const CertificateSettings& certificate, const std::filesystem::path& state_dir) {
  return (certificate.cert_dir ? *certificate.cert_dir : state_dir / "live" / certificate.name).string();
}

/// Puts certificates into the configuration, and sees that no two get in each other's way.
class Certificates {
 public:
  Certificates(Configuration& configuration, Complaints& complaints, bool may_order)
      : configuration_(configuration), complaints_(complaints), may_order_(may_order) {}

  void add(CertificateSettings certificate, const std::string& place) {
    if (certificate.name.empty() && !certificate.identifiers.empty())
      certificate.name = name_for(certificate.identifiers[0]);
    if (certificate.csr && !certificate.key_file)
      complaints_.add(place + ": the broker needs the key that the signing request was made with: give key-file, too");
    if (certificate.probe_is_default) {
      certificate.probe_is_default = !certificate.reload.empty() || certificate.broker_looks;
      if (certificate.probe_is_default) certificate.probes = {{"localhost", 8883}};
    }
    if (certificate.eab_kid.empty() != !certificate.eab_hmac_key_file)
      complaints_.add(place + ": " + (certificate.eab_kid.empty() ? "eab-hmac-key-file" : "eab-kid") +
                      " is of no use alone: give " + (certificate.eab_kid.empty() ? "eab-kid" : "eab-hmac-key-file") +
                      " as well");
    refuse_unable_to_restart(certificate, place);
    if (certificate.first_remote_server() != nullptr) {
      if (may_order_) refuse_names_of_hosts(certificate, place);
      choose_challenge(certificate, place);
      refuse_unprovable(certificate, place);
    }
    refuse_unfit_for_devices(certificate, place);
    if (certificate.dns_tsig_file && !certificate.dns_update)
      complaints_.add(place + ": dns-tsig-file is of no use without dns-update");
    certificate.place = place;
    const auto [namesake, new_name] = names_.emplace(certificate.name, place);
    const std::string folder = folder_of(certificate, configuration_.state_dir);
    const auto [neighbour, new_folder] = folders_.emplace(folder, place);
    if (!new_name) {
      complaints_.add(place + ": the name '" + certificate.name + "' is already that of the certificate at " +
                      namesake->second + "; give one of them another name");
    } else if (!new_folder) {
      complaints_.add(place + ": the folder " + printable(folder) + " is already that of the certificate at " +
                      neighbour->second + "; give one of them another cert-dir");
    }
    const auto& rules = certificate.deploy;
    const bool keystore =
        std::any_of(rules.begin(), rules.end(), [](const auto& one) { return one.format == "pkcs12"; });
    if (certificate.broker_wants_keystore && !keystore)
      certificate.deploy.push_back({std::filesystem::path(folder) / "keystore", "", certificate.mode, "pkcs12", {}});
    for (const DeployRule& rule : certificate.deploy)
      if (const auto [other, is_new] = folders_.emplace(rule.folder.string(), place); !is_new)
        complaints_.add(place + ": deploy: the folder " + printable(rule.folder.native()) +
                        " is already that of the certificate at " + other->second + "; give another one");
    configuration_.certificates.push_back(std::move(certificate));
  }

 private:
  /// Where several brokers are told, nobody knows which of them it would be.
  void refuse_unable_to_restart(const CertificateSettings& certificate, const std::string& place) {
    if (!certificate.restart_window) return;
    const std::vector<ReloadRule>& rules = certificate.reload;
    const bool able = rules.size() == 1 && (rules.front().kind == ReloadRule::Kind::systemd ||
                                            rules.front().kind == ReloadRule::Kind::container);
    if (!able)
      complaints_.add(place +
                      ": restart-window needs a broker that can be restarted: give one reload, systemd:UNIT or "
                      "container:NAME, and no other");
  }

  /// "raspberrypi" means another host in each network; what a server that we do not know makes of it is its own affair.
  void refuse_names_of_hosts(const CertificateSettings& certificate, const std::string& place) {
    const auto known = std::find_if(certificate.servers.begin(), certificate.servers.end(), [](const Server& server) {
      return !server.local() && server.name != server.directory_url;
    });
    if (known == certificate.servers.end()) return;
    for (const Identifier& name : certificate.identifiers)
      if (name.type == Identifier::Type::dns && name.value.find('.') == std::string::npos)
        complaints_.add(place + ": '" + name.value + "' is not a name that " + known->name +
                        " issues for: it needs at least two labels, as in 'example.org'; for a name that only your own "
                        "network knows, give --server local");
      else if (is_of_one_network(name))
        complaints_.add(place + ": '" + name.value + "' is known in your own network only, and " + known->name +
                        " does not issue for it: give --server local, or a name that the world knows");
  }

  void choose_challenge(CertificateSettings& certificate, const std::string& place) {
    const bool sets_records = !certificate.dns_hooks.empty() || certificate.dns_update;
    std::vector<std::string>& challenges = certificate.challenges;
    if (challenges.empty()) challenges.push_back(sets_records ? "dns-01" : "http-01");
    if (!sets_records && std::find(challenges.begin(), challenges.end(), "dns-01") != challenges.end())
      complaints_.add(place +
                      ": the challenge dns-01 needs --dns-update HOST, a name server that takes updates, or "
                      "--dns-hook PROGRAM");
  }

  /// Names that no challenge of ours can prove, whatever the server offers.
  void refuse_unprovable(const CertificateSettings& certificate, const std::string& place) {
    const std::vector<std::string>& challenges = certificate.challenges;
    std::map<std::string_view, std::vector<std::string>> names;  // by what to do about them
    for (const Identifier& identifier : certificate.identifiers)
      if (std::none_of(challenges.begin(), challenges.end(),
                       [&](const auto& one) { return can_prove(one, identifier); }))
        names[how_to_prove(identifier)].push_back(identifier.value);
    for (const auto& [advice, unproven] : names)
      complaints_.add(place + ": " + printable(join(unproven), 400) + " cannot be proven by " + join(challenges) +
                      ": " + std::string(advice));
  }

  /// What the devices would refuse whatever the server issues.
  void refuse_unfit_for_devices(const CertificateSettings& certificate, const std::string& place) {
    for (const DeviceKind* kind : certificate.devices) {
      const std::string who(kind->who);
      const std::string_view key = to_string(certificate.key_type);
      if (!certificate.key_file &&
          std::find(kind->key_types.begin(), kind->key_types.end(), certificate.key_type) == kind->key_types.end())
        complaints_.add(place + ": " + who + " do not take keys of type " + std::string(key) + ": leave key-type out");
      const auto fits = [&](const Identifier& name) {
        return name.type == Identifier::Type::ip ? kind->addresses : kind->wildcards || !name.wildcard();
      };
      if (std::none_of(certificate.identifiers.begin(), certificate.identifiers.end(), fits))
        complaints_.add(place + ": " + who + " cannot check any of these names: add the DNS name that they are given" +
                        (kind->wildcards ? "" : ", in full"));
    }
    if (certificate.device_trust && certificate.device_trust->empty() && certificate.devices.empty())
      complaints_.add(place + ": device-trust none is of use with --for only: leave it out");
  }

  Configuration& configuration_;
  Complaints& complaints_;
  const bool may_order_;
  std::unordered_map<std::string, std::string> names_;
  std::unordered_map<std::string, std::string> folders_;
};

/// "_.example.org" is the name of a section for "*.example.org".
std::string domain_of_section(const std::string& name) {
  return name.starts_with("_.") ? "*" + name.substr(1) : name;
}

void add_section_as_domain(const Section& section, CertificateSettings& certificate, Complaints& complaints) {
  try {
    if (section.name.find('.') == std::string::npos)
      throw Error(Remedy::ask_operator,
                  "'" + section.name + "' has no dot: write 'domain = " + section.name + "' if a host is called so");
    set_domain({domain_of_section(section.name), section.place, nullptr}, certificate);
  } catch (const Error& error) {
    complaints.add(section.place +
                   ": the section has no 'domain', and its name cannot serve as one: " + error.message());
  }
}

/// Takes out of `layer`, which is for all sections, what can be said for one certificate only.
void refuse_options_for_one(Layer& layer, std::size_t sections, Complaints& complaints) {
  std::erase_if(layer, [&](const Layer::value_type& entry) {
    const auto& [option, settings] = entry;
    const bool refused = option->one_certificate_only && !settings.empty();
    if (refused) {
      complaints.add(settings[0].place + ": this can be said for one certificate only, but there are " +
                     std::to_string(sections) + " sections; write it into its section");
    }
    return refused;
  });
}

/// Takes `domain` out of the keys above the first section.
void refuse_domain_for_all(Layer& layer, Complaints& complaints) {
  const auto domain = layer.find(find_option("domain"));
  if (domain == layer.end()) return;
  if (!domain->second.empty()) {
    complaints.add(domain->second[0].place + ": every section has domains of its own; move this into one");
  }
  layer.erase(domain);
}

}  // namespace

const Server* CertificateSettings::first_remote_server() const {
  const auto found = std::find_if(servers.begin(), servers.end(), [](const Server& server) { return !server.local(); });
  return found == servers.end() ? nullptr : &*found;
}

Environment environment_of_process(char** envp) {
  Environment environment;
  for (; envp != nullptr && *envp != nullptr; ++envp) {
    const std::string_view entry = *envp;
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    environment.variables.emplace_back(entry.substr(0, equals), entry.substr(equals + 1));
  }
  environment.root = ::geteuid() == 0;
  return environment;
}

Configuration load_configuration(const CommandLine& command_line, const Environment& environment) {
  Complaints complaints;
  const std::filesystem::path file = command_line.config.value_or(environment.default_config);
  ConfigFiles files(complaints);
  files.read(file, command_line.config.has_value());
  const std::vector<Section>& sections = files.sections();
  const Layer built_in = built_in_layer(complaints);
  Layer from_file = files.defaults();
  Layer from_environment = environment_layer(environment, complaints);
  Layer from_command_line = command_line_layer(command_line, complaints);

  const bool one = has(from_environment, "domain") || has(from_command_line, "domain") || sections.empty();
  if (!one) refuse_domain_for_all(from_file, complaints);
  if (!one && sections.size() > 1) {
    for (Layer* layer : {&from_file, &from_environment, &from_command_line}) {
      refuse_options_for_one(*layer, sections.size(), complaints);
    }
  }

  Configuration configuration;
  lay_over(built_in, configuration, complaints);
  lay_over(from_file, configuration, complaints);
  lay_over(from_environment, configuration, complaints);
  lay_over(from_command_line, configuration, complaints);
  if (configuration.state_dir.empty() && needs_state(command_line))
    configuration.state_dir = default_state_dir(environment, complaints);

  CertificateSettings defaults;
  defaults.probe_is_default = true;
  lay_over(built_in, defaults, complaints);
  lay_over(from_file, defaults, complaints);

  Certificates certificates(configuration, complaints, may_order(command_line));
  if (one) {
    CertificateSettings certificate = defaults;
    lay_over(from_environment, certificate, complaints);
    lay_over(from_command_line, certificate, complaints);
    configuration.defaults = certificate;
    if (!certificate.identifiers.empty()) {
      certificates.add(std::move(certificate), "--domain");
    } else if (complaints.none() && needs_certificate(command_line)) {
      throw NoCertificate(Remedy::ask_operator,
                          "no certificate to look after: give --domain NAME, or write a section [NAME] into " +
                              printable(file.string()));
    }
  } else {
    configuration.defaults = defaults;
    lay_over(from_environment, configuration.defaults, complaints);
    lay_over(from_command_line, configuration.defaults, complaints);
    for (const Section& section : sections) {
      CertificateSettings certificate = defaults;
      certificate.name = section.name;
      lay_over(section.layer, certificate, complaints);
      lay_over(from_environment, certificate, complaints);
      lay_over(from_command_line, certificate, complaints);
      if (!has(section.layer, "domain")) add_section_as_domain(section, certificate, complaints);
      certificates.add(std::move(certificate), section.place);
    }
  }

  complaints.throw_if_any();
  return configuration;
}

}  // namespace acme_agent
