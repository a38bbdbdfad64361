#include "option.hpp"

#include <algorithm>
#include <array>

#include "setters.hpp"

namespace acme_agent {
namespace {

constexpr std::string_view certificate = "Certificate";
constexpr std::string_view server = "Certificate authority";
constexpr std::string_view broker = "Broker";
constexpr std::string_view agent = "Agent";
constexpr std::string_view command_line = "On the command line only";

constexpr std::array table = {
    Option{.group = certificate,
           .name = "domain",
           .short_name = 'd',
           .argument = "NAME",
           .repeatable = true,
           .comma_list = true,
           .set_certificate = set_domain,
           .default_words = "in a section of the file: the name of the section",
           .overview = true,
           .meaning = "DNS name that the certificate is for"},
    Option{.group = certificate,
           .name = "name",
           .argument = "NAME",
           .one_certificate_only = true,
           .set_certificate = set_name,
           .default_words = "the first domain",
           .meaning = "name under which the certificate is kept"},
    Option{.group = certificate,
           .name = "key-type",
           .argument = "TYPE",
           .set_certificate = set_key_type,
           .default_value = "rsa2048",
           .meaning = "rsa2048, rsa3072, rsa4096, ec256 or ec384; every MQTT device accepts rsa2048"},
    Option{.group = certificate,
           .name = "reuse-key",
           .argument = "yes|no",
           .set_certificate = set_reuse_key,
           .default_value = "yes",
           .meaning = "keep the private key over renewals, so that the fingerprints in devices stay valid"},
    Option{.group = certificate,
           .name = "placeholder",
           .argument = "yes|no",
           .set_certificate = set_placeholder,
           .default_value = "yes",
           .meaning = "where no usable certificate lies, put a self-signed one with the final key, so that the broker "
                      "can start"},
    Option{.group = server,
           .name = "server",
           .argument = "SERVER",
           .repeatable = true,
           .set_certificate = set_server,
           .default_value = "letsencrypt",
           .overview = true,
           .meaning = "letsencrypt, zerossl, google or an https:// URL",
           .detail = "; letsencrypt-staging for a trial; of several, the next one is used when the one before keeps "
                     "failing, or fails when the end is near"},
    Option{.group = server,
           .name = "ca-bundle",
           .argument = "FILE",
           .set_certificate = set_ca_bundle,
           .default_words = "the store of the system",
           .meaning = "PEM file that is trusted for the server's own HTTPS"},
    Option{.group = server,
           .name = "email",
           .argument = "ADDRESS",
           .set_certificate = set_email,
           .default_words = "none",
           .overview = true,
           .meaning = "contact of the account"},
    Option{.group = server,
           .name = "eab-kid",
           .argument = "ID",
           .set_certificate = set_eab_kid,
           .default_words = "none",
           .meaning = "id of the key of --eab-hmac-key-file, for servers that want an external account binding; of "
                      "several servers, those that ask for one get it"},
    Option{.group = server,
           .name = "eab-hmac-key-file",
           .argument = "FILE",
           .set_certificate = set_eab_hmac_key_file,
           .default_words = "none",
           .meaning = "file with the key in base64, as the CA shows it (hs384: or hs512: in front where the CA wants "
                      "that); read when an account is made, not needed afterwards"},
    Option{.group = server,
           .name = "challenge",
           .argument = "TYPE",
           .several_later = true,
           .set_certificate = set_challenge,
           .default_value = "http-01",
           .meaning = "how the server checks that the names are ours: http-01"},
    Option{.group = server,
           .name = "http-listen",
           .argument = "[ADDRESS:]PORT",
           .set_certificate = set_http_listen,
           .default_value = "80",
           .meaning = "where http-01 is answered while a challenge is pending; the server asks port 80"},
    Option{.group = broker,
           .name = "cert-dir",
           .argument = "DIR",
           .one_certificate_only = true,
           .set_certificate = set_cert_dir,
           .default_words = "STATE/live/NAME",
           .overview = true,
           .meaning = "folder where the broker finds the certificate"},
    Option{.group = broker,
           .name = "owner",
           .argument = "USER[:GROUP]",
           .set_certificate = set_owner,
           .default_words = "our user and the broker's group",
           .meaning = "owner of the files in it"},
    Option{.group = broker,
           .name = "mode",
           .argument = "MODE",
           .set_certificate = set_mode,
           .default_value = "0640",
           .meaning = "mode of the files in it, in octal digits"},
    Option{.group = broker,
           .name = "reload",
           .argument = "HOW",
           .repeatable = true,
           .set_certificate = set_reload,
           .default_value = "process:mosquitto",
           .overview = true,
           .meaning = "process:NAME, pidfile:PATH, command:ARGV or none"},
    Option{.group = broker,
           .name = "probe",
           .argument = "HOST:PORT",
           .repeatable = true,
           .set_certificate = set_probe,
           .default_words = "localhost:8883, unless --reload none",
           .overview = true,
           .meaning = "where the new certificate must be seen; or none"},
    Option{.group = broker,
           .name = "probe-timeout",
           .argument = "TIME",
           .set_certificate = set_probe_timeout,
           .default_value = "10s",
           .meaning = "how long the broker may take, from 1s to 10m"},
    Option{.group = agent,
           .name = "state-dir",
           .argument = "DIR",
           .set_agent = set_state_dir,
           .default_words = "$STATE_DIRECTORY, else /var/lib/acme-agent for root, else $XDG_STATE_HOME/acme-agent",
           .meaning = "folder of accounts, records and certificates"},
    Option{.group = agent,
           .name = "workers",
           .argument = "COUNT",
           .set_agent = set_workers,
           .default_value = "4",
           .meaning = "how many certificates are worked on at a time, from 1 to 64"},
    Option{.group = agent,
           .name = "log-level",
           .argument = "LEVEL",
           .set_agent = set_log_level,
           .default_value = "info",
           .meaning = "error, warning, info or debug"},
    Option{.group = agent,
           .name = "log-format",
           .argument = "FORMAT",
           .set_agent = set_log_format,
           .default_value = "text",
           .meaning = "text or json"},
    Option{.group = agent,
           .name = "quiet",
           .set_agent = set_quiet,
           .default_words = "no",
           .meaning = "the same as --log-level warning"},
    Option{.group = command_line,
           .name = "config",
           .argument = "FILE",
           .default_words = "/etc/acme-agent/acme-agent.conf, where it exists",
           .overview = true,
           .meaning = "configuration file; beside it conf.d/*.conf"},
    Option{
        .group = command_line, .name = "once", .overview = true, .meaning = "do what is due now and end, for a timer"},
    Option{.group = command_line, .name = "force", .meaning = "with renew: even if a renewal was made just now"},
    Option{.group = command_line, .name = "json", .meaning = "with status: for programs"},
    Option{.group = command_line, .name = "help", .short_name = 'h', .meaning = "help about the command"},
    Option{.group = command_line, .name = "version", .meaning = "the version of this program"},
};

constexpr std::string_view later[] = {
    "profile",  "key-file",      "csr",           "preferred-chain", "alpn-listen",  "webroot",
    "dns-hook", "dns-update",    "dns-tsig-file", "deploy",          "device-trust", "for",
    "broker",   "status-listen", "mqtt",          "alert",           "as",           "reason",
    "files",    "format",        "dry-run",       "max-chain-bytes"};

}  // namespace

std::span<const Option> options() {
  return table;
}

const Option* find_option(std::string_view name) {
  const auto* const found = std::find_if(table.begin(), table.end(), [&](const Option& o) { return o.name == name; });
  return found == table.end() ? nullptr : found;
}

bool in_later_version(std::string_view name) {
  return std::find(std::begin(later), std::end(later), name) != std::end(later);
}

}  // namespace acme_agent
