#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/agent/renewer.hpp>
#include <acme_agent/alert/channel.hpp>
#include <acme_agent/base/log.hpp>
#include <acme_agent/config/configuration.hpp>
#include <acme_agent/status/report.hpp>
#include <acme_agent/store/state.hpp>
#include <acme_agent/sys/confinement.hpp>
#include <acme_agent/sys/file_lock.hpp>
#include <acme_agent/sys/processes.hpp>

#include "solver_pool.hpp"

namespace acme_agent {

/// The state folder is in use by another agent: exit code 1, not 2.
class AlreadyRunning : public Error {
 public:
  AlreadyRunning(
      const std::filesystem::path& folder, FileLock::Holder holder,
      const std::string& advice = "stop it first, or leave the work to it ('acme-agent renew NAME' asks it)");
};

/// Makes and locks the state folder. Throws Error, AlreadyRunning with this advice if another agent has it.
FileLock lock_state(const StateFolder& state, const std::string& advice);

/// A client for a server, as the settings of a certificate have it.
std::unique_ptr<Transport> connect(const CertificateSettings& settings);

/// ExplainNames with what this machine sees.
std::vector<std::string> look_at_names(const std::vector<Identifier>& names, const std::string& challenge,
                                       const std::vector<std::string>& issuers, const std::stop_token& stop);

/// Nothing where nothing is said of devices. Throws Error (ask_operator) if the file of --device-trust is none.
std::optional<DeviceTerms> device_terms_of(const CertificateSettings& settings);

/// Throws nothing; what is wrong shows when somebody is to be told.
std::unique_ptr<Reloader> make_reloader(const ReloadRule& rule, const Processes& processes);

/// Everything that lives as long as the process and is made of the configuration: the one place that knows both.
class Wiring {
 public:
  /// Locks the state folder, as lock_state().
  explicit Wiring(const Configuration& configuration);

  /// Makes and locks the folders of the broker. Throws Error, AlreadyRunning if another agent has one.
  void take_folders(const Configuration& configuration);

  /// take_folders(), and gives up all rights that are not needed: before the first thread. Again for a new
  /// configuration: throws Error (ask_operator) if that needs what is given up.
  void confine(const Configuration& configuration);

  /// Others may have the folders of the broker that this one does not name any more.
  void let_go_of_folders(const Configuration& configuration);

  /// After take_folders(): what the configuration wants looked after; safe to call again with a new one. Throws Error
  /// (ask_operator) for what is wrong with the machine rather than with the text: folders, files of a newer version.
  std::vector<Managed> manage(const Configuration& configuration);

  /// Says so where the libcurl that is installed is one of the known bad ones.
  void warn_of_curl();

  /// Says so where all can read the passphrase of our own authority, and what it was made without and keeps to.
  void warn_of_authority(const Configuration& configuration);

  /// All that answer challenges. Not while manage() runs.
  Solvers solvers() const { return solvers_.all(); }

  /// Those who are told about trouble.
  std::vector<std::unique_ptr<Channel>> channels(const Configuration& configuration) const;

  Clock& clock() { return clock_; }
  Log& log() { return log_; }
  const StateFolder& state() const { return state_; }
  const Renewer& renewer() const { return renewer_; }

 private:
  Managed manage_one(const CertificateSettings& settings);
  std::shared_ptr<const DeviceTerms> devices_for(const CertificateSettings& settings);
  const std::string& known_digest_of(const std::optional<std::filesystem::path>& file);
  std::shared_ptr<const AcmeServer> server_for(const Server& server, const CertificateSettings& settings);
  std::shared_ptr<Reloader> reloader_for(const ReloadRule& rule);
  Ownership ownership_for(const CertificateSettings& settings);
  void take_folder(const std::string& folder);

  SystemClock clock_;
  Log log_;
  SystemProcesses processes_;
  StateFolder state_;
  FileLock lock_;
  std::map<std::string, FileLock> folder_locks_;
  const std::shared_ptr<const AcmeServer> own_authority_;
  const std::shared_ptr<ClientAuthority> clients_;
  std::optional<Confinement> confinement_;
  SolverPool solvers_;

  /// What many certificates share; made once for those that are told the same. An unchanged one stays equal (Managed).
  std::map<std::vector<std::string>, std::shared_ptr<const AcmeServer>> servers_;
  std::vector<std::pair<ReloadRule, std::shared_ptr<Reloader>>> reloaders_;
  std::vector<std::shared_ptr<const DeviceTerms>> devices_;
  std::map<std::string, Ownership> owners_;
  std::map<std::filesystem::path, std::string> digests_;
  Renewer renewer_;
};

/// Where the broker finds the files of this certificate.
std::filesystem::path cert_dir_of(const CertificateSettings& settings, const StateFolder& state);

/// What is to be reported on.
Subject subject_of(const CertificateSettings& settings, const StateFolder& state);
std::vector<Subject> subjects_of(const Configuration& configuration, const StateFolder& state);

}  // namespace acme_agent
