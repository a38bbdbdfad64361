#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <acme_agent/acme/external_account.hpp>
#include <acme_agent/agent/managed.hpp>
#include <acme_agent/config/configuration.hpp>

namespace acme_agent {

/// The key of --key-file and the request of --csr into `managed`. Throws Error (ask_operator) where they are none, or
/// do not belong together.
void use_own_key(const CertificateSettings& settings, Managed& managed);

/// Throws Error (ask_operator) if the file holds no such key.
ExternalAccount external_account_in(const std::string& key_file, const std::string& kid);

/// The password of --mqtt; empty where there is no file. Throws Error (ask_operator) where it cannot be read.
Secret mqtt_password_in(const Configuration& configuration);

/// What to tell where every user of this machine can read the file.
std::optional<std::string> exposed(const std::string& secret_file);
std::optional<std::string> passphrase_exposed(const Configuration& configuration);

/// Another text for another content, whenever that was written; empty for none, or where whoever needs it will say why.
std::string digest_of(const std::optional<std::filesystem::path>& file);

/// Programs that will be missed when an alert, a reload or a challenge needs them, in the words of what names them.
std::set<std::string> missing_programs(const std::vector<CertificateSettings>& certificates,
                                       const std::vector<AlertRule>& alerts);

/// Throws Error (ask_operator) with a line for each file and owner that the configuration names and this machine does
/// not have. Nothing is touched: these are told before anything is done.
void check_machine(const Configuration& configuration);

}  // namespace acme_agent
