#include "operators_files.hpp"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include <acme_agent/agent/known_servers.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/challenge/dns_update_solver.hpp>
#include <acme_agent/crypto/digest.hpp>
#include <acme_agent/crypto/root_bundle.hpp>
#include <acme_agent/store/state.hpp>
#include <acme_agent/sys/file.hpp>

#include "authority_terms.hpp"

namespace acme_agent {
namespace {

Secret operators_file(const std::filesystem::path& file) {
  constexpr std::size_t longest = 65536;
  std::optional<Secret> text = read_file(file, longest);
  if (!text) throw Error(Remedy::ask_operator, "there is no such file");
  return *std::move(text);
}

/// The binding is needed once only: its file may be gone when there is an account. Let's Encrypt needs none.
void check_external_account(const CertificateSettings& settings, const Accounts& accounts) {
  const auto is_known = [&](const Server& server) {
    const std::optional<Account> account = accounts.load(server.directory_url);
    return server.local() || known_server(server.directory_url) != nullptr || (account && !account->url.empty());
  };
  if (!std::all_of(settings.servers.begin(), settings.servers.end(), is_known))
    external_account_in(settings.eab_hmac_key_file->native(), settings.eab_kid);
}

PrivateKey key_in(const std::filesystem::path& file) {
  try {
    return PrivateKey::from_pem(operators_file(file));
  } catch (const Error& error) {
    throw Error(Remedy::ask_operator, "key-file " + printable(file.native()) + ": " + error.message());
  }
}

SigningRequest csr_in(const CertificateSettings& settings, const PrivateKey& key) {
  try {
    SigningRequest request = read_csr(operators_file(*settings.csr).reveal(), key);
    if (same_names(request.identifiers, settings.identifiers)) return request;
    std::vector<std::string> names;
    for (const Identifier& identifier : request.identifiers) names.push_back(identifier.value);
    throw Error(Remedy::ask_operator,
                names.empty() ? "it names no domain"
                              : "it is for " + printable(join(names), 400) + ": give exactly these names as domain");
  } catch (const Error& error) {
    throw Error(Remedy::ask_operator, "csr " + printable(settings.csr->native()) + ": " + error.message());
  }
}

}  // namespace

ExternalAccount external_account_in(const std::string& key_file, const std::string& kid) {
  try {
    return read_external_account(kid, operators_file(key_file));
  } catch (const Error& error) {
    throw Error(Remedy::ask_operator, "eab-hmac-key-file " + printable(key_file) + ": " + error.message());
  }
}

void use_own_key(const CertificateSettings& settings, Managed& managed) {
  const PrivateKey key = key_in(*settings.key_file);
  managed.key_type = key.type();
  managed.key_file = settings.key_file->native();
  managed.key_thumbprint = key.thumbprint();
  if (settings.csr) managed.csr = csr_in(settings, key).der;
}

Secret mqtt_password_in(const Configuration& configuration) {
  if (!configuration.mqtt_password_file) return {};
  const std::filesystem::path& file = *configuration.mqtt_password_file;
  try {
    if (!configuration.mqtt || configuration.mqtt->user.empty())
      throw Error(Remedy::ask_operator, "it is of no use without a user: give --mqtt mqtts://USER@HOST");
    const Secret text = operators_file(file);
    return Secret(text.reveal().substr(0, text.reveal().find_last_not_of("\r\n") + 1));
  } catch (const Error& error) {
    throw Error(Remedy::ask_operator, "mqtt-password-file " + printable(file.native()) + ": " + error.message());
  }
}

std::optional<std::string> exposed(const std::string& secret_file) {
  struct stat status {};
  if (::stat(secret_file.c_str(), &status) != 0 || (status.st_mode & 0004) == 0) return std::nullopt;
  return printable(secret_file) + " holds a secret, and every user of this machine can read it: chmod 0600 " +
         printable(secret_file);
}

std::optional<std::string> passphrase_exposed(const Configuration& configuration) {
  if (!configuration.ca_passphrase_file) return std::nullopt;
  return exposed(configuration.ca_passphrase_file->native());
}

std::string digest_of(const std::optional<std::filesystem::path>& file) {
  if (!file) return {};
  try {
    const std::optional<Secret> content = read_file(*file);
    return content ? to_hex(sha256(content->reveal())) : "";
  } catch (const Error&) {
    return {};
  }
}

std::set<std::string> missing_programs(const std::vector<CertificateSettings>& certificates,
                                       const std::vector<AlertRule>& alerts) {
  std::set<std::string> missing;
  const auto look = [&missing](const std::string& what, const std::vector<std::string>& argv) {
    if (argv.empty() || argv.front().find('/') == std::string::npos || ::access(argv.front().c_str(), X_OK) == 0)
      return;
    missing.insert(what + ": " + printable(argv.front()) + " cannot be run: " + std::generic_category().message(errno));
  };
  for (const AlertRule& rule : alerts) look("alert", rule.argv);
  for (const CertificateSettings& settings : certificates) {
    for (const ReloadRule& rule : settings.reload) look("reload of " + settings.name, rule.argv);
    for (const std::vector<std::string>& hook : settings.dns_hooks) look("dns-hook of " + settings.name, hook);
  }
  return missing;
}

void check_machine(const Configuration& configuration) {
  std::set<std::string> complaints;
  const auto try_out = [&complaints](const std::string& what, const auto& act) {
    try {
      act();
    } catch (const Error& error) {
      complaints.insert(what + ": " + error.message());
    }
  };
  std::set<std::string> owners;
  std::set<std::string> bundles;
  std::set<std::string> bindings;
  std::set<std::string> key_files;
  for (const CertificateSettings& settings : configuration.certificates) {
    if (settings.key_file)
      try_out(settings.name, [&] {
        Managed managed;
        use_own_key(settings, managed);
      });
    if (!settings.owner.empty() && owners.insert(settings.owner).second)
      try_out("owner of " + settings.name, [&] { parse_owner(settings.owner, settings.mode); });
    for (const DeployRule& rule : settings.deploy)
      if (!rule.owner.empty() && owners.insert(rule.owner).second)
        try_out("deploy of " + settings.name, [&] { parse_owner(rule.owner, rule.mode); });
    if (settings.ca_bundle && bundles.insert(settings.ca_bundle->native()).second)
      try_out("ca-bundle", [&] { RootBundle{*settings.ca_bundle}; });
    if (settings.device_trust && !settings.device_trust->empty() &&
        bundles.insert(settings.device_trust->native()).second)
      try_out("device-trust", [&] { RootBundle(*settings.device_trust, "the file"); });
    if (settings.eab_hmac_key_file && bindings.insert(settings.eab_hmac_key_file->native()).second)
      try_out("the external account binding",
              [&] { check_external_account(settings, StateFolder(configuration.state_dir).accounts()); });
    if (settings.dns_tsig_file && key_files.insert(settings.dns_tsig_file->native()).second)
      try_out("dns-tsig-file", [&] { read_tsig_key(*settings.dns_tsig_file); });
  }
  try_out("mqtt", [&] { mqtt_password_in(configuration); });
  if (const AuthorityTerms terms = authority_terms(configuration); terms.passphrase)
    try_out("our own authority", terms.passphrase);
  std::string all;
  for (const std::string& complaint : complaints) all += (all.empty() ? "" : "\n") + complaint;
  if (!all.empty()) throw Error(Remedy::ask_operator, all);
}

}  // namespace acme_agent
