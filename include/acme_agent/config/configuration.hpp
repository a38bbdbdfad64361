#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/day_span.hpp>
#include <acme_agent/base/device_kind.hpp>
#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/identifier.hpp>
#include <acme_agent/base/key_type.hpp>
#include <acme_agent/base/local_server.hpp>
#include <acme_agent/base/log.hpp>
#include <acme_agent/base/name_constraint.hpp>

namespace acme_agent {

/// One `--reload`: how a broker is told.
struct ReloadRule {
  enum class Kind { none, process, pidfile, systemd, container, command, url };

  Kind kind = Kind::none;
  std::string argument;           ///< Name, path, unit or URL, which may hold a secret.
  std::vector<std::string> argv;  ///< command only: split at white space, with "…" and '…' as quotes; no shell.
  std::string socket = {};        ///< container only: path, or http://HOST:PORT; empty: Docker's or Podman's own.

  bool operator==(const ReloadRule&) const = default;
};

/// One `--deploy`: a further folder that gets the files.
struct DeployRule {
  std::filesystem::path folder;
  std::string owner;  ///< USER[:GROUP]; empty: as --owner says.
  unsigned mode = 0640;
  std::string format = "pem";           ///< Or "combined" or "pkcs12".
  std::filesystem::path password_file;  ///< Of pkcs12; empty: "changeit", as Java has it.
};

/// One `--alert`: who is told about trouble.
struct AlertRule {
  enum class Kind { command, url, ntfy };

  Kind kind = Kind::command;
  std::string url;                ///< May hold a secret. Of ntfy it ends with the topic.
  std::vector<std::string> argv;  ///< command only: as in ReloadRule.

  bool operator==(const AlertRule&) const = default;
};

/// `--mqtt`: the broker that is told the state.
struct MqttRule {
  SocketPlace place;
  bool tls = false;
  std::string user;  ///< Empty: none.

  bool operator==(const MqttRule&) const = default;
};

/// An ACME server as the operator calls it and where its directory is; or our own authority (local_server both).
struct Server {
  std::string name;  ///< "letsencrypt", …, or the URL as given.
  std::string directory_url;

  bool local() const { return directory_url == local_server; }
  bool operator==(const Server&) const = default;
};

/// The ACME servers that have a name of their own.
std::vector<Server> named_servers();

/// What one certificate shall be.
struct CertificateSettings {
  std::string name;
  std::string place;                    ///< Where it is said, for messages: file, line and section, or --domain.
  std::vector<Identifier> identifiers;  ///< At least one; the first is the main one. No duplicates.
  std::vector<Server> servers;          ///< In the order of preference; at least one. No duplicates.
  std::optional<std::filesystem::path> ca_bundle;
  std::string email;                                         ///< Empty: none.
  std::string eab_kid;                                       ///< Empty: none; else there is a file, too.
  std::optional<std::filesystem::path> eab_hmac_key_file{};  ///< Not looked into here.
  KeyType key_type = KeyType::rsa2048;
  bool reuse_key = true;
  std::optional<std::filesystem::path> key_file;  ///< The operator's own key; nothing: keys are ours.
  std::optional<std::filesystem::path> csr;       ///< The operator's own signing request; only with `key_file`.
  std::string profile;                            ///< Empty: the server's default.
  std::string preferred_chain;                    ///< Empty: the server's default.
  std::vector<std::string>
      challenges;  ///< In the order in which they are tried; at least one for a remote server. No duplicates.
  Endpoint http_listen{"", 80};
  std::optional<std::filesystem::path> webroot;  ///< Nothing: our own listener answers http-01.
  Endpoint alpn_listen{"", 443};
  /// Programs with their first arguments: none, one for all, or one that sets records and one that removes them.
  std::vector<std::vector<std::string>> dns_hooks;
  std::optional<Endpoint> dns_update;                  ///< Primary that takes RFC 2136 updates for dns-01.
  std::optional<std::filesystem::path> dns_tsig_file;  ///< Nothing: the updates are not signed.
  std::optional<std::filesystem::path> cert_dir;       ///< Nothing: STATE/live/NAME.
  std::string owner;                                   ///< USER[:GROUP]; empty: not given.
  unsigned mode = 0640;
  std::vector<DeployRule> deploy;      ///< Folders differ from each other and from those of all others.
  bool broker_looks = false;           ///< It reads new files without being told.
  bool broker_wants_keystore = false;  ///< Then there is one in `deploy`.
  std::vector<ReloadRule> reload;      ///< Empty: `none`.
  std::vector<Endpoint> probes;        ///< Empty: `none`.
  bool probe_is_default = false;
  Duration probe_timeout = std::chrono::seconds(10);
  bool broker_only_restarts = false;      ///< It reads its files when it starts, and never again.
  std::optional<DaySpan> restart_window;  ///< Then `reload` is one rule that can restart it. Nothing: never.
  bool placeholder = true;
  std::vector<const DeviceKind*> devices;             ///< --for. No duplicates.
  std::optional<std::filesystem::path> device_trust;  ///< Nothing: what the devices know by themselves; empty: `none`.
  std::size_t max_chain_bytes = 0;                    ///< 0: any.

  /// The first that is asked over the network; null: our own authority is the only one.
  const Server* first_remote_server() const;
};

/// Everything that command line, environment and configuration file say, checked; immutable from then on.
struct Configuration {
  std::vector<CertificateSettings> certificates;  ///< Names differ; so do their folders.
  CertificateSettings defaults;                   ///< What is said for every certificate, where there is none, too.
  std::filesystem::path state_dir;                ///< Empty for "watch" where it is not given: it needs none.
  int workers = 4;
  LogLevel log_level = LogLevel::info;
  LogFormat log_format = LogFormat::text;
  std::vector<AlertRule> alerts;  ///< No duplicates.
  std::optional<MqttRule> mqtt;
  std::optional<std::filesystem::path> mqtt_password_file;
  std::optional<SocketPlace> status_listen;                 ///< Nothing: no status page.
  std::optional<KeyType> ca_key_type;                       ///< Of the authority on this machine, rsa2048 or ec256.
  std::vector<NameConstraint> ca_name_constraints;          ///< None: it may certify every name. No duplicates.
  std::optional<std::filesystem::path> ca_passphrase_file;  ///< Not looked into here. Nothing: its keys lie open.
};

/// The command line, taken apart.
struct CommandLine {
  std::string command = "run";         ///< "run", "status", "renew", "check", "revoke", "remove", "account", "tasmota",
                                       ///< "ca", "import", "watch", "placeholder", "init", "help", "version".
  std::vector<std::string> arguments;  ///< NAME... of status and renew, COMMAND of help, and so on.
  std::optional<std::filesystem::path> config;
  bool once = false;
  bool force = false;
  bool dry_run = false;
  bool json = false;
  bool check = false;
  bool files = false;
  bool switch_key = false;
  std::string reason;                                        ///< Empty: none.
  std::string as;                                            ///< Empty: none.
  std::string device;                                        ///< --for of ca issue; empty: none.
  std::optional<std::filesystem::path> device_csr;           ///< --csr of ca issue.
  std::string days;                                          ///< Empty: none.
  std::string format;                                        ///< Of help and ca export; empty: none.
  std::vector<std::pair<std::string, std::string>> options;  ///< The rest: name without dashes and value, in order.
};

/// The environment that settings may come from.
struct Environment {
  std::vector<std::pair<std::string, std::string>> variables;
  bool root = false;                                                         ///< Decides the default of --state-dir.
  std::filesystem::path default_config = "/etc/acme-agent/acme-agent.conf";  ///< With conf.d/*.conf beside it.
};
Environment environment_of_process(char** envp);

/// Thrown by load_configuration(): there is neither a domain nor a section.
class NoCertificate : public Error {
 public:
  using Error::Error;
};

/// Throws Error (ask_operator): unknown option or command with the nearest known one, a missing or surplus value.
/// Options are never guessed from a prefix.
CommandLine parse_command_line(const std::vector<std::string>& arguments);

/// Reads the files and puts everything together: command line beats environment beats file beats default.
/// Throws Error (ask_operator) whose message has every complaint, a line each, with file and line or the option.
Configuration load_configuration(const CommandLine& command_line, const Environment& environment);

/// The help page: an overview for an empty topic, else about one command or "options". Throws Error for an unknown
/// topic.
std::string help_text(const std::string& topic);

/// All that the tables of commands and options say, as "man", "man-conf", "bash", "zsh", "fish" or "conf". `version`
/// and `date` are for the man pages. Throws Error for another format.
std::string reference_text(const std::string& format, const std::string& version, const std::string& date);

}  // namespace acme_agent
