#include <fstream>
#include <set>

#include <acme_agent/config/configuration.hpp>

#include "fuzz.hpp"
#include "support/temp_dir.hpp"

namespace acme_agent::fuzz {
namespace {

using namespace std::chrono_literals;

/// A word of a command, quoted so that it stays one, and each letter whole.
std::string in_quotes(std::string_view word) {
  std::string text = "\"";
  for (const char c : word) text += c == '"' ? R"("'"'")" : std::string(1, c);
  return text + "\"";
}

std::string in_quotes(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += in_quotes(word) + " ";
  return text;
}

std::string written(const ReloadRule& rule) {
  switch (rule.kind) {
    case ReloadRule::Kind::none:
      break;
    case ReloadRule::Kind::process:
      return "process:" + rule.argument;
    case ReloadRule::Kind::pidfile:
      return "pidfile:" + rule.argument + "/";
    case ReloadRule::Kind::systemd:
      return "systemd:" + rule.argument;
    case ReloadRule::Kind::container:
      return "container:" + rule.argument + (rule.socket.empty() ? "" : "@" + rule.socket);
    case ReloadRule::Kind::url:
      return "url:" + rule.argument;
    case ReloadRule::Kind::command:
      return "command:" + in_quotes(rule.argv);
  }
  return "none";
}

std::string octal(unsigned mode) {
  return {'0', static_cast<char>('0' + (mode >> 6 & 7)), static_cast<char>('0' + (mode >> 3 & 7)),
          static_cast<char>('0' + (mode & 7))};
}

std::string written(const DeployRule& rule) {
  std::string text = rule.folder.string() + "/,format=" + rule.format + ",mode=" + octal(rule.mode);
  if (!rule.owner.empty()) text += ",owner=" + rule.owner;
  if (!rule.password_file.empty()) text += ",password-file=" + rule.password_file.string() + "/";
  return text;
}

/// A section that says everything. A path ends with a slash, as white space at the end of a line does not count.
std::string written(const CertificateSettings& certificate) {
  std::string text = "[" + certificate.name + "]\n";
  const auto line = [&text](const char* key, std::string_view value) {
    text += std::string(key) + " = " + std::string(value) + "\n";
  };
  for (const Identifier& identifier : certificate.identifiers) line("domain", identifier.value);
  for (const Server& server : certificate.servers) line("server", server.directory_url);
  if (certificate.ca_bundle) line("ca-bundle", certificate.ca_bundle->string() + "/");
  if (!certificate.email.empty()) line("email", certificate.email);
  line("key-type", to_string(certificate.key_type));
  line("reuse-key", certificate.reuse_key ? "yes" : "no");
  for (const std::string& challenge : certificate.challenges) line("challenge", challenge);
  line("http-listen", certificate.http_listen.text());
  for (const std::vector<std::string>& hook : certificate.dns_hooks) line("dns-hook", in_quotes(hook));
  if (certificate.webroot) line("webroot", certificate.webroot->string() + "/");
  line("alpn-listen", certificate.alpn_listen.text());
  if (certificate.cert_dir) line("cert-dir", certificate.cert_dir->string() + "/");
  if (!certificate.owner.empty()) line("owner", certificate.owner);
  line("mode", octal(certificate.mode));
  for (const DeployRule& rule : certificate.deploy) {
    // The folder of a broker's own keystore may have a comma, that of --deploy cannot.
    if (rule.folder.string().find(',') == std::string::npos) line("deploy", written(rule));
  }
  if (certificate.reload.empty()) line("reload", "none");
  for (const ReloadRule& rule : certificate.reload) line("reload", written(rule));
  if (certificate.probes.empty()) line("probe", "none");
  for (const Endpoint& probe : certificate.probes) line("probe", probe.text());
  line("probe-timeout", std::to_string(certificate.probe_timeout.count()) + "ms");
  if (certificate.restart_window) line("restart-window", format_day_span(*certificate.restart_window));
  line("placeholder", certificate.placeholder ? "yes" : "no");
  for (const DeviceKind* device : certificate.devices) line("for", device->name);
  if (certificate.device_trust)
    line("device-trust", certificate.device_trust->empty() ? "none" : certificate.device_trust->string() + "/");
  if (certificate.max_chain_bytes != 0) line("max-chain-bytes", std::to_string(certificate.max_chain_bytes));
  return text;
}

std::string written(const Configuration& configuration) {
  constexpr const char* levels[] = {"error", "warning", "info", "debug"};
  std::string text = "state-dir = " + configuration.state_dir.string() + "/\n";
  text += "workers = " + std::to_string(configuration.workers) + "\n";
  text += std::string("log-level = ") + levels[static_cast<int>(configuration.log_level)] + "\n";
  text += std::string("log-format = ") + (configuration.log_format == LogFormat::json ? "json" : "text") + "\n";
  for (const AlertRule& alert : configuration.alerts) {
    text += "alert = ";
    if (alert.kind == AlertRule::Kind::command) text += "command:" + in_quotes(alert.argv) + "\n";
    if (alert.kind == AlertRule::Kind::url) text += "url:" + alert.url + "\n";
    if (alert.kind == AlertRule::Kind::ntfy) text += "ntfy:" + alert.url + "\n";
  }
  if (configuration.mqtt) {
    const auto* address = std::get_if<Endpoint>(&configuration.mqtt->place);
    text += "mqtt = ";
    if (address != nullptr)
      text += (configuration.mqtt->tls ? "mqtts://" : "mqtt://") +
              (configuration.mqtt->user.empty() ? "" : configuration.mqtt->user + "@") + address->text() + "\n";
    else
      text += "unix:" + std::get<std::filesystem::path>(configuration.mqtt->place).string() + "/\n";
  }
  if (configuration.mqtt_password_file)
    text += "mqtt-password-file = " + configuration.mqtt_password_file->string() + "/\n";
  if (configuration.status_listen) {
    const auto* address = std::get_if<Endpoint>(&*configuration.status_listen);
    text +=
        "status-listen = " +
        (address != nullptr ? address->text()
                            : "unix:" + std::get<std::filesystem::path>(*configuration.status_listen).string() + "/") +
        "\n";
  }
  for (const CertificateSettings& certificate : configuration.certificates) text += written(certificate);
  return text;
}

/// A machine with this configuration file and nothing else.
std::optional<Configuration> load(std::string_view text) {
  static const test::TempDir folder;
  static const std::filesystem::path path = folder / "agent.conf";
  static const CommandLine command_line{.config = path};
  static const Environment environment{.variables = {{"HOME", "/home/me"}}};
  std::ofstream(path, std::ios::binary) << text;
  try {
    return load_configuration(command_line, environment);
  } catch (const Error& error) {
    expect(error.remedy() == Remedy::ask_operator, "a wrong file is for the operator");
    const std::vector<std::string> complaints = split(error.message(), '\n');
    expect(!complaints.empty() && complaints.size() <= 101, "there are at most a hundred complaints");
    for (const std::string& complaint : complaints) expect_sentence(complaint);
    return std::nullopt;
  }
}

void check(const Configuration& configuration) {
  std::set<std::string> names;
  for (const CertificateSettings& certificate : configuration.certificates) {
    expect(names.insert(certificate.name).second, "names differ", certificate.name);
    expect(certificate.name.find('/') == std::string::npos && certificate.name != "..", "a name is a folder's");
    expect(!certificate.identifiers.empty() && certificate.identifiers.size() <= 100, "a certificate has names");
    for (const Identifier& identifier : certificate.identifiers) {
      expect(parse_identifier(identifier.value) == identifier, "a name reads as itself", identifier.value);
    }
    for (const Server& server : certificate.servers)
      expect(server.directory_url.starts_with("https://"), "a server speaks https");
    expect(certificate.probe_timeout >= 1s && certificate.probe_timeout <= 10min, "a probe has 1 s to 10 min");
    expect((certificate.mode & ~0664U) == 0 && (certificate.mode & 0400U) != 0, "a mode makes sense");
    if (certificate.cert_dir) expect(certificate.cert_dir->is_absolute(), "a folder is a whole path");
    for (const ReloadRule& rule : certificate.reload) {
      if (rule.kind == ReloadRule::Kind::command)
        expect(!rule.argv.empty() && !rule.argv[0].empty(), "a command is one");
    }
  }
  expect(configuration.state_dir.is_absolute(), "the state folder is a whole path");
  expect(configuration.workers >= 1 && configuration.workers <= 64, "there are 1 to 64 workers");
}

}  // namespace

void one_input(std::string_view input) {
  const std::optional<Configuration> configuration = load(input);
  if (!configuration) return;
  check(*configuration);
  const std::string text = written(*configuration);
  const std::optional<Configuration> again = load(text);
  expect(again && written(*again) == text, "what was accepted is accepted again and means the same", text);
}

}  // namespace acme_agent::fuzz
