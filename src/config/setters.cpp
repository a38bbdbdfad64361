#include "setters.hpp"

#include <idn2.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <system_error>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>

#include "broker_kind.hpp"

namespace acme_agent {
namespace {

using namespace std::chrono_literals;

/// Let's Encrypt takes 100 names in a certificate.
constexpr std::size_t most_names = 100;

[[noreturn]] void refuse(std::string message) {
  throw Error(Remedy::ask_operator, std::move(message));
}

std::string in_quotes(std::string_view text) {
  return "'" + printable(text, 200) + "'";
}

/// The place of `text` in `words`.
std::size_t choose(std::string_view text, const std::vector<std::string>& words) {
  const auto found = std::find(words.begin(), words.end(), text);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  const std::string meant = nearest(text, words);
  refuse(in_quotes(text) + " is not one of " + join(words) + (meant.empty() ? "" : ": did you mean '" + meant + "'?"));
}

bool yes(const Setting& setting) {
  if (setting.value == "yes") return true;
  if (setting.value == "no") return false;
  refuse(in_quotes(setting.value) + " is neither yes nor no");
}

std::filesystem::path absolute_path(const Setting& setting, std::string_view text) {
  if (text == "~" || text.starts_with("~/"))
    refuse(in_quotes(text) + ": '~' is not expanded here, write the whole path");
  std::filesystem::path path = (*setting.folder / text).lexically_normal();
  if (!path.is_absolute()) refuse(in_quotes(text) + " is relative to a folder that is gone: write the whole path");
  if (!path.has_filename() && path.has_relative_path()) path = path.parent_path();
  return path;
}

/// The words of a command line; quotes keep white space together, nothing else is special.
std::vector<std::string> split_command(std::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = '\0';
  for (const char c : text) {
    if (quote == '\0' && (c == ' ' || c == '\t')) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (quote == '\0' && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == quote) {
      quote = '\0';
    } else {
      words.back() += c;
    }
  }
  if (quote != '\0') refuse(in_quotes(text) + " lacks a closing " + quote);
  return words;
}

std::vector<std::string> program_with_arguments(const Setting& setting, std::string_view text) {
  std::vector<std::string> argv = split_command(text);
  if (argv.empty() || argv.front().empty()) refuse(in_quotes(setting.value) + " names no program");
  std::string& program = argv.front();
  if (program.find('/') != std::string::npos) program = absolute_path(setting, program).string();
  return argv;
}

/// RFC 8555 7.3: one address, without header fields; so no comma and nothing that is special in a mailto URL.
bool plausible_address(std::string_view text) {
  const std::size_t at = text.rfind('@');
  if (at == std::string_view::npos || at == 0 || at > 64) return false;
  const bool special = std::any_of(text.begin(), text.end(), [](char c) {
    return c <= ' ' || c > '~' || std::string_view(",;:<>()[]\"\\?&%#/").find(c) != std::string_view::npos;
  });
  if (special || std::count(text.begin(), text.end(), '@') != 1) return false;
  try {
    const Identifier host = parse_identifier(text.substr(at + 1));
    return host.type == Identifier::Type::dns && !host.wildcard() && host.value.find('.') != std::string::npos;
  } catch (const Error&) {
    return false;
  }
}

/// `SCHEME://HOST[:PORT][/PATH]`; `scheme` has its slashes.
bool is_url(std::string_view text, std::string_view scheme) {
  if (!text.starts_with(scheme) || text.size() > 2000) return false;
  const std::string_view rest = text.substr(scheme.size());
  const std::string_view host = rest.substr(0, rest.find_first_of("/?"));
  const bool special =
      std::any_of(rest.begin(), rest.end(), [](char c) { return c <= ' ' || c > '~' || c == '#' || c == '\\'; });
  if (host.empty() || host.front() == ':' || host.find('@') != std::string_view::npos || special) return false;
  if (host.back() == ']' || host.find(':') == std::string_view::npos) return true;
  try {
    parse_endpoint(host);
    return true;
  } catch (const Error&) {
    return false;
  }
}

bool https_url(std::string_view text) {
  return is_url(text, "https://");
}

/// The same URL without user and password.
std::string without_user(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return std::string(url);
  const std::size_t host = scheme + 3;
  const std::size_t at = url.substr(0, url.find_first_of("/?#", host)).rfind('@');
  if (at == std::string_view::npos) return std::string(url);
  return std::string(url.substr(0, host)) + std::string(url.substr(at + 1));
}

Server server_called(const std::string& server) {
  for (const Server& known : named_servers())
    if (server == known.name) return known;
  if (server == local_server) return {server, server};
  if (server.starts_with("http://")) {
    refuse(in_quotes(server) +
           " is not encrypted, and ACME is spoken over HTTPS only (RFC 8555 6.1): give an https:// URL");
  }
  if (server.find("://") != std::string::npos) {
    if (!https_url(server)) refuse(in_quotes(server) + " is not a URL of the form https://HOST[:PORT]/PATH");
    return {server, server};
  }
  const std::string meant = nearest(server, {"letsencrypt", "letsencrypt-staging", "zerossl", "google", "local"});
  refuse(in_quotes(server) + " is not letsencrypt, letsencrypt-staging, zerossl, google, local or an https:// URL" +
         (meant.empty() ? "" : ": did you mean '" + meant + "'?"));
}

ReloadRule process_rule(const Setting& setting, const std::string& name) {
  if (name.find('/') != std::string::npos)
    refuse(in_quotes(setting.value) + ": give the name of the process, not its path");
  return {ReloadRule::Kind::process, name, {}};
}

ReloadRule pidfile_rule(const Setting& setting, const std::string& path) {
  return {ReloadRule::Kind::pidfile, absolute_path(setting, path).string(), {}};
}

/// Only services can be told to reload.
ReloadRule systemd_rule(const Setting& setting, const std::string& unit) {
  constexpr std::string_view allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.\\@-";
  constexpr std::string_view suffix = ".service";
  const std::string name = unit.ends_with(suffix) ? unit : unit + std::string(suffix);
  if (name.size() == suffix.size() || name.size() > 255 || name.find_first_not_of(allowed) != std::string::npos)
    refuse(in_quotes(setting.value) + " does not name a unit: write systemd:UNIT, like systemd:mosquitto");
  return {ReloadRule::Kind::systemd, name, {}};
}

ReloadRule command_rule(const Setting& setting, const std::string& words) {
  return {ReloadRule::Kind::command, "", program_with_arguments(setting, words)};
}

/// The path of a socket stays as it is, a host becomes a URL; nothing for anything else.
std::optional<std::string> socket_at(std::string_view text) {
  if (text.starts_with('/')) return std::string(text);
  constexpr std::string_view scheme = "http://";
  try {
    return std::string(scheme) + parse_endpoint(text.starts_with(scheme) ? text.substr(scheme.size()) : text).text();
  } catch (const Error&) {
    return std::nullopt;
  }
}

ReloadRule container_rule(const Setting& setting, const std::string& text) {
  const std::size_t at = text.find('@');
  const std::string name = text.substr(0, at);
  constexpr std::string_view allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  if (name.empty() || name.front() == '.' || name.front() == '-' ||
      name.find_first_not_of(allowed) != std::string::npos)
    refuse(in_quotes(setting.value) + " does not name a container: write container:NAME or container:NAME@SOCKET");
  std::optional<std::string> socket = at == std::string::npos ? "" : socket_at(std::string_view(text).substr(at + 1));
  if (!socket)
    refuse(in_quotes(setting.value) +
           ": behind the '@' goes the absolute path of a socket, or HOST:PORT of a socket proxy");
  return {ReloadRule::Kind::container, name, {}, *std::move(socket)};
}

ReloadRule url_rule(const Setting&, const std::string& url) {
  const std::string shown = without_user(url);
  if (!is_url(shown, "http://") && !is_url(shown, "https://"))
    refuse(
        "what follows 'url:' is no URL of the form https://HOST[:PORT]/PATH (it is not shown, as it may hold a "
        "secret)");
  return {ReloadRule::Kind::url, url, {}};
}

struct ReloadKind {
  std::string_view word;
  ReloadRule (*read)(const Setting& setting, const std::string& argument);
};

constexpr ReloadKind reload_kinds[] = {{"process", process_rule}, {"pidfile", pidfile_rule},
                                       {"systemd", systemd_rule}, {"container", container_rule},
                                       {"command", command_rule}, {"url", url_rule}};

const std::vector<std::string> format_words = {"pem", "combined", "pkcs12"};

std::string owner_called(const std::string& owner) {
  const std::size_t colon = owner.find(':');
  const bool group_missing = colon != std::string::npos && colon + 1 == owner.size();
  const bool second_colon = colon != owner.rfind(':');
  if (owner.empty() || colon == 0 || group_missing || second_colon ||
      owner.find_first_of(" \t/,") != std::string::npos) {
    refuse(in_quotes(owner) + " is not USER or USER:GROUP");
  }
  return owner;
}

unsigned mode_called(const std::string& text) {
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc() || end != text.data() + text.size() || text.size() < 3 || text.size() > 4) {
    refuse(in_quotes(text) + " is not a mode of three or four octal digits, like 0640");
  }
  if ((mode & 0400U) == 0) refuse("mode " + text + " keeps the owner from reading the files: choose one like 0640");
  if ((mode & ~0664U) != 0) {
    refuse("mode " + text +
           " has bits that make no sense on keys and certificates (to execute, or to be written by "
           "everybody): choose one like 0640");
  }
  return mode;
}

}  // namespace

std::vector<Server> named_servers() {
  return {{"letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"},
          {"letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"},
          {"zerossl", "https://acme.zerossl.com/v2/DV90"},
          {"google", "https://dv.acme-v02.api.pki.goog/directory"}};
}

std::string to_a_labels(std::string_view text) {
  const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii) return std::string(text);
  const bool wild = text.starts_with("*.") || text.starts_with("_.");
  const std::string_view before = text.substr(0, wild ? 2 : 0);
  const std::string name(text.substr(before.size()));
  char* found = nullptr;
  const int result = ::idn2_to_ascii_8z(name.c_str(), &found, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  const std::unique_ptr<char, decltype(&::idn2_free)> owned(found, &::idn2_free);
  if (result != IDN2_OK)
    refuse(in_quotes(text) + " is not a name that can be written in A-labels: " + ::idn2_strerror(result));
  return std::string(before) + found;
}

std::string_view broken_rule_of_name(std::string_view name) {
  constexpr std::string_view allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  if (name.find('*') != std::string_view::npos) return "write '_' where the domain has '*'";
  if (name.find_first_not_of(allowed) != std::string_view::npos) {
    return "a certificate's name has letters, digits, '.', '_' and '-' only";
  }
  if (name.empty() || name == "." || name == "..") return "a folder must be able to bear a certificate's name";
  if (name.size() > 253) return "a certificate's name has at most 253 characters";
  return {};
}

void set_domain(const Setting& setting, CertificateSettings& certificate) {
  if (setting.first) certificate.identifiers.clear();
  const Identifier identifier = parse_identifier(to_a_labels(setting.value));
  std::vector<Identifier>& all = certificate.identifiers;
  if (std::find(all.begin(), all.end(), identifier) != all.end()) {
    refuse(in_quotes(setting.value) + " is given twice; leave only one");
  }
  if (all.size() == most_names) {
    refuse("a certificate takes at most " + std::to_string(most_names) +
           " names: give the rest to another certificate");
  }
  all.push_back(identifier);
}

void set_name(const Setting& setting, CertificateSettings& certificate) {
  if (const std::string_view rule = broken_rule_of_name(setting.value); !rule.empty()) {
    refuse(in_quotes(setting.value) + " cannot be a name: " + std::string(rule));
  }
  certificate.name = setting.value;
}

void set_key_type(const Setting& setting, CertificateSettings& certificate) {
  choose(setting.value, key_type_words());
  certificate.key_type = parse_key_type(setting.value).value();
}

void set_reuse_key(const Setting& setting, CertificateSettings& certificate) {
  certificate.reuse_key = yes(setting);
}

void set_key_file(const Setting& setting, CertificateSettings& certificate) {
  certificate.key_file = absolute_path(setting, setting.value);
}

void set_csr(const Setting& setting, CertificateSettings& certificate) {
  certificate.csr = absolute_path(setting, setting.value);
}

void set_profile(const Setting& setting, CertificateSettings& certificate) {
  const bool special =
      std::any_of(setting.value.begin(), setting.value.end(), [](char c) { return c <= ' ' || c > '~'; });
  if (special || setting.value.size() > 64) refuse(in_quotes(setting.value) + " is not the name of a profile");
  certificate.profile = setting.value;
}

void set_preferred_chain(const Setting& setting, CertificateSettings& certificate) {
  certificate.preferred_chain = setting.value;
}

void set_for(const Setting& setting, CertificateSettings& certificate) {
  if (setting.first) certificate.devices.clear();
  const std::vector<std::string> words = device_kind_words();
  const DeviceKind* kind = find_device_kind(words[choose(setting.value, words)]);
  std::vector<const DeviceKind*>& all = certificate.devices;
  if (std::find(all.begin(), all.end(), kind) != all.end())
    refuse(in_quotes(setting.value) + " is given twice; leave only one");
  all.push_back(kind);
}

void set_device_trust(const Setting& setting, CertificateSettings& certificate) {
  certificate.device_trust = setting.value == "none" ? "" : absolute_path(setting, setting.value);
}

void set_max_chain_bytes(const Setting& setting, CertificateSettings& certificate) {
  constexpr std::size_t least = 500;  // a leaf alone takes more
  constexpr std::size_t most = 1'000'000;
  const std::string& text = setting.value;
  std::size_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (error != std::errc() || end != text.data() + text.size() || bytes < least || bytes > most)
    refuse(in_quotes(text) + " is not a number of bytes from 500 to 1000000");
  certificate.max_chain_bytes = bytes;
}

void set_placeholder(const Setting& setting, CertificateSettings& certificate) {
  certificate.placeholder = yes(setting);
}

void set_server(const Setting& setting, CertificateSettings& certificate) {
  if (setting.first) certificate.servers.clear();
  Server server = server_called(setting.value);
  std::vector<Server>& all = certificate.servers;
  const auto is_same = [&](const Server& other) { return other.directory_url == server.directory_url; };
  if (std::any_of(all.begin(), all.end(), is_same))
    refuse(in_quotes(setting.value) + " is given twice; leave only one");
  all.push_back(std::move(server));
}

void set_ca_bundle(const Setting& setting, CertificateSettings& certificate) {
  certificate.ca_bundle = absolute_path(setting, setting.value);
  errno = 0;
  std::ifstream file(*certificate.ca_bundle);
  if (!file || file.peek() == std::ifstream::traits_type::eof()) {
    const std::string why = errno == 0 ? "it is empty" : std::generic_category().message(errno);
    refuse("cannot read " + in_quotes(certificate.ca_bundle->string()) + ": " + why);
  }
}

void set_email(const Setting& setting, CertificateSettings& certificate) {
  if (!plausible_address(setting.value)) {
    refuse(in_quotes(setting.value) + " is not a mail address like me@mydyn.example, one and without 'mailto:'");
  }
  certificate.email = setting.value;
}

void set_eab_kid(const Setting& setting, CertificateSettings& certificate) {
  certificate.eab_kid = setting.value;
}

void set_eab_hmac_key_file(const Setting& setting, CertificateSettings& certificate) {
  certificate.eab_hmac_key_file = absolute_path(setting, setting.value);
}

void set_challenge(const Setting& setting, CertificateSettings& certificate) {
  if (setting.first) certificate.challenges.clear();
  std::vector<std::string>& all = certificate.challenges;
  choose(setting.value, {"http-01", "tls-alpn-01", "dns-01", "dns-persist-01"});
  if (std::find(all.begin(), all.end(), setting.value) != all.end())
    refuse(in_quotes(setting.value) + " is given twice; leave only one");
  all.push_back(setting.value);
}

void set_http_listen(const Setting& setting, CertificateSettings& certificate) {
  certificate.http_listen = parse_listen_endpoint(setting.value);
}

void set_webroot(const Setting& setting, CertificateSettings& certificate) {
  certificate.webroot = absolute_path(setting, setting.value);
}

void set_alpn_listen(const Setting& setting, CertificateSettings& certificate) {
  certificate.alpn_listen = parse_listen_endpoint(setting.value);
}

void set_dns_update(const Setting& setting, CertificateSettings& certificate) {
  const std::string& text = setting.value;
  const bool has_port = text.find(':') != std::string::npos && !text.ends_with(']');
  certificate.dns_update = parse_endpoint(has_port ? text : text + ":53");
}

void set_dns_tsig_file(const Setting& setting, CertificateSettings& certificate) {
  certificate.dns_tsig_file = absolute_path(setting, setting.value);
}

void set_dns_hook(const Setting& setting, CertificateSettings& certificate) {
  if (setting.first) certificate.dns_hooks.clear();
  if (certificate.dns_hooks.size() == 2)
    refuse("there are two programs at most: one to set records, one to remove them");
  certificate.dns_hooks.push_back(program_with_arguments(setting, setting.value));
}

/// Comes before what it gives defaults for, as layers are laid in the order of the table.
void set_broker(const Setting& setting, CertificateSettings& certificate) {
  const std::vector<std::string> words = broker_kind_words();
  const BrokerKind& broker = *find_broker_kind(words[choose(setting.value, words)]);
  set_reload({std::string(broker.reload), setting.place, setting.folder}, certificate);
  set_probe_timeout({std::string(broker.probe_timeout), setting.place, setting.folder}, certificate);
  certificate.broker_looks = broker.reload == "none";
  certificate.broker_wants_keystore = broker.keystore;
  certificate.broker_only_restarts = broker.only_restarts;
}

void set_cert_dir(const Setting& setting, CertificateSettings& certificate) {
  certificate.cert_dir = absolute_path(setting, setting.value);
}

void set_owner(const Setting& setting, CertificateSettings& certificate) {
  certificate.owner = owner_called(setting.value);
}

void set_mode(const Setting& setting, CertificateSettings& certificate) {
  certificate.mode = mode_called(setting.value);
}

void set_deploy(const Setting& setting, CertificateSettings& certificate) {
  if (setting.first) certificate.deploy.clear();
  const std::vector<std::string> parts = split(setting.value, ',');
  if (parts.empty()) refuse("it names no folder");
  DeployRule rule;
  rule.folder = absolute_path(setting, parts.front());
  for (auto part = parts.begin() + 1; part != parts.end(); ++part) {
    const std::size_t equals = std::min(part->find('='), part->size());
    const std::string key = part->substr(0, equals);
    const std::string value(trim(std::string_view(*part).substr(std::min(equals + 1, part->size()))));
    if (key == "owner")
      rule.owner = owner_called(value);
    else if (key == "mode")
      rule.mode = mode_called(value);
    else if (key == "format")
      rule.format = format_words[choose(value, format_words)];
    else if (key == "password-file")
      rule.password_file = absolute_path(setting, value);
    else
      refuse(in_quotes(*part) + " is not owner=USER:GROUP, mode=MODE, format=FORMAT or password-file=FILE");
  }
  if (!rule.password_file.empty() && rule.format != "pkcs12")
    refuse("password-file is of use with format=pkcs12 only: leave it out");
  certificate.deploy.push_back(std::move(rule));
}

void set_reload(const Setting& setting, CertificateSettings& certificate) {
  if (setting.first) certificate.reload.clear();
  const std::string_view text = setting.value;
  if (text == "none") return;
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const std::string argument(colon == std::string_view::npos ? "" : trim(text.substr(colon + 1)));
  for (const ReloadKind& known : reload_kinds) {
    if (kind != known.word || argument.empty()) continue;
    certificate.reload.push_back(known.read(setting, argument));
    return;
  }
  const bool secret = text.find("://") != std::string_view::npos;
  refuse(in_quotes(secret ? std::string(kind) + ":…" : std::string(text)) +
         " is not process:NAME, pidfile:PATH, systemd:UNIT, container:NAME[@SOCKET], command:ARGV, url:URL or none");
}

void set_probe(const Setting& setting, CertificateSettings& certificate) {
  if (setting.first) certificate.probes.clear();
  certificate.probe_is_default = false;
  if (setting.value == "none") return;
  const Endpoint endpoint = parse_endpoint(setting.value);
  if (std::find(certificate.probes.begin(), certificate.probes.end(), endpoint) != certificate.probes.end()) {
    refuse(in_quotes(setting.value) + " is given twice; leave only one");
  }
  certificate.probes.push_back(endpoint);
}

void set_probe_timeout(const Setting& setting, CertificateSettings& certificate) {
  const std::optional<Duration> timeout = parse_duration(setting.value);
  if (!timeout || *timeout < 1s || *timeout > 10min) {
    refuse(in_quotes(setting.value) + " is not a time from 1s to 10m, like 30s");
  }
  certificate.probe_timeout = *timeout;
}

void set_restart_window(const Setting& setting, CertificateSettings& certificate) {
  certificate.restart_window = parse_day_span(setting.value);
  if (!certificate.restart_window)
    refuse(in_quotes(setting.value) + " is no time of the day from one minute to another, like 03:00-04:00");
}

void set_state_dir(const Setting& setting, Configuration& configuration) {
  configuration.state_dir = absolute_path(setting, setting.value);
}

void set_workers(const Setting& setting, Configuration& configuration) {
  const std::string& text = setting.value;
  int workers = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), workers);
  if (error != std::errc() || end != text.data() + text.size() || workers < 1 || workers > 64) {
    refuse(in_quotes(text) + " is not a number from 1 to 64");
  }
  configuration.workers = workers;
}

void set_mqtt(const Setting& setting, Configuration& configuration) {
  constexpr std::string_view unix_socket = "unix:";
  const std::string& text = setting.value;
  MqttRule rule;
  const bool plain = text.starts_with("mqtt://");
  rule.tls = text.starts_with("mqtts://");
  if (text.starts_with(unix_socket) && text.size() > unix_socket.size()) {
    rule.place = absolute_path(setting, text.substr(unix_socket.size()));
  } else if (plain || rule.tls) {
    std::string address = text.substr(text.find("://") + 3);
    if (const std::size_t at = address.rfind('@'); at != std::string::npos) {
      rule.user = address.substr(0, at);
      address.erase(0, at + 1);
      if (rule.user.empty() || rule.user.find(':') != std::string::npos)
        refuse(
            "before the '@' stands a user alone (it is not shown); its password is in the file of mqtt-password-file");
    }
    const std::size_t host_end = address.starts_with('[') ? address.find(']') : 0;
    const bool has_port = address.find(':', host_end) != std::string::npos;
    rule.place = parse_endpoint(has_port ? address : address + (rule.tls ? ":8883" : ":1883"));
  } else {
    refuse("this is no broker: write mqtt://[USER@]HOST[:PORT], mqtts://... or unix:PATH");
  }
  configuration.mqtt = rule;
}

void set_mqtt_password_file(const Setting& setting, Configuration& configuration) {
  configuration.mqtt_password_file = absolute_path(setting, setting.value);
}

void set_ca_key_type(const Setting& setting, Configuration& configuration) {
  const std::vector<std::string> words = {"rsa2048", "ec256"};
  configuration.ca_key_type = parse_key_type(words[choose(setting.value, words)]).value();
}

void set_ca_name_constraint(const Setting& setting, Configuration& configuration) {
  if (setting.first) configuration.ca_name_constraints.clear();
  const NameConstraint constraint = parse_name_constraint(setting.value);
  std::vector<NameConstraint>& all = configuration.ca_name_constraints;
  if (std::find(all.begin(), all.end(), constraint) != all.end())
    refuse(in_quotes(setting.value) + " is given twice; leave only one");
  all.push_back(constraint);
}

void set_ca_passphrase_file(const Setting& setting, Configuration& configuration) {
  configuration.ca_passphrase_file = absolute_path(setting, setting.value);
}

void set_alert(const Setting& setting, Configuration& configuration) {
  const std::size_t colon = setting.value.find(':');
  const std::string kind = setting.value.substr(0, colon);
  const std::string argument = colon == std::string::npos ? "" : setting.value.substr(colon + 1);
  AlertRule rule;
  if (kind == "command" && colon != std::string::npos) {
    rule.argv = program_with_arguments(setting, argument);
  } else if ((kind == "url" || kind == "ntfy") && colon != std::string::npos) {
    rule.kind = kind == "url" ? AlertRule::Kind::url : AlertRule::Kind::ntfy;
    rule.url = argument;
    const std::string shown = without_user(argument);
    if (!is_url(shown, "http://") && !is_url(shown, "https://"))
      refuse("what follows '" + kind +
             ":' is no URL of the form https://HOST[:PORT]/PATH (it is not shown, as it may hold a secret)");
    const std::string path = shown.substr(0, shown.find_first_of("?#"));
    const std::size_t slash = path.find('/', path.find("://") + 3);
    if (kind == "ntfy" && (slash == std::string::npos || path.ends_with('/')))
      refuse("the URL of ntfy ends with a topic, like ntfy:https://ntfy.sh/TOPIC");
  } else {
    refuse(in_quotes(kind) + " is no way to tell: write command:PROGRAM, url:URL or ntfy:URL");
  }
  std::vector<AlertRule>& all = configuration.alerts;
  if (setting.first) all.clear();
  if (std::find(all.begin(), all.end(), rule) == all.end()) all.push_back(rule);
}

void set_status_listen(const Setting& setting, Configuration& configuration) {
  constexpr std::string_view unix_socket = "unix:";
  if (setting.value.starts_with(unix_socket)) {
    const std::string path = setting.value.substr(unix_socket.size());
    if (path.empty()) refuse(in_quotes(setting.value) + " names no socket: write unix:PATH");
    configuration.status_listen = absolute_path(setting, path);
    return;
  }
  Endpoint endpoint = parse_listen_endpoint(setting.value);
  if (endpoint.host.empty()) endpoint.host = "127.0.0.1";  // who wants others to see it says so
  configuration.status_listen = endpoint;
}

void set_log_level(const Setting& setting, Configuration& configuration) {
  configuration.log_level = static_cast<LogLevel>(choose(setting.value, {"error", "warning", "info", "debug"}));
}

void set_log_format(const Setting& setting, Configuration& configuration) {
  configuration.log_format = static_cast<LogFormat>(choose(setting.value, {"text", "json"}));
}

void set_quiet(const Setting& setting, Configuration& configuration) {
  if (yes(setting)) configuration.log_level = LogLevel::warning;
}

}  // namespace acme_agent
