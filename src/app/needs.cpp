#include "needs.hpp"

#include <filesystem>
#include <variant>

#include <acme_agent/base/entries.hpp>

namespace acme_agent {
namespace {

void add_listener(const Endpoint& endpoint, Needs& needs) {
  if (endpoint.port < 1024) needs.low_ports = true;
}

void add_listener(const SocketPlace& place, Needs& needs) {
  if (const auto* path = std::get_if<std::filesystem::path>(&place))
    needs.folders.insert(path->parent_path());
  else
    add_listener(std::get<Endpoint>(place), needs);
}

// What is below a folder is not below a link in it.

void add_webroot(const std::filesystem::path& webroot, Needs& needs) {
  needs.folders.insert({webroot, webroot / ".well-known", webroot / ".well-known/acme-challenge"});
}

void add_with_links(const std::filesystem::path& folder, Needs& needs) {
  needs.folders.insert(folder);
  std::error_code failed;
  for (const std::filesystem::path& entry : entries_of(folder, failed)) {
    std::error_code gone;
    if (std::filesystem::is_symlink(entry, gone) && std::filesystem::is_directory(entry, gone))
      needs.folders.insert(entry);
  }
}

void add_needs(const CertificateSettings& settings, Needs& needs) {
  if (settings.cert_dir) needs.folders.insert(*settings.cert_dir);
  for (const DeployRule& rule : settings.deploy) needs.folders.insert(rule.folder);
  for (const ReloadRule& rule : settings.reload) {
    if (rule.kind == ReloadRule::Kind::command) needs.programs = true;
    if (rule.kind == ReloadRule::Kind::process || rule.kind == ReloadRule::Kind::pidfile) needs.signals = true;
  }
  for (const Endpoint& endpoint : listeners_of(settings)) add_listener(endpoint, needs);
  if (settings.first_remote_server() == nullptr) return;
  for (const std::string& challenge : settings.challenges) {
    if (challenge == "http-01" && settings.webroot) add_webroot(*settings.webroot, needs);
    if (challenge == "dns-01" && !settings.dns_hooks.empty()) needs.programs = true;
  }
}

}  // namespace

std::vector<Endpoint> listeners_of(const CertificateSettings& settings) {
  std::vector<Endpoint> endpoints;
  if (settings.first_remote_server() == nullptr) return endpoints;  // no challenges
  for (const std::string& challenge : settings.challenges) {
    if (challenge == "http-01" && !settings.webroot) endpoints.push_back(settings.http_listen);
    if (challenge == "tls-alpn-01") endpoints.push_back(settings.alpn_listen);
  }
  return endpoints;
}

Needs needs_of_certificates(const Configuration& configuration) {
  Needs needs;
  for (const CertificateSettings& settings : configuration.certificates) add_needs(settings, needs);
  return needs;
}

void add_needs_of_process(const Configuration& configuration, const StateFolder& state, Needs& needs) {
  add_with_links(state.path(), needs);
  add_with_links(state.path() / "live", needs);
  if (configuration.status_listen) add_listener(*configuration.status_listen, needs);
  for (const AlertRule& rule : configuration.alerts)
    if (rule.kind == AlertRule::Kind::command) needs.programs = true;
}

}  // namespace acme_agent
