#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/broker/client_files.hpp>
#include <acme_agent/broker/deployer.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/sys/generations.hpp>
#include <acme_agent/sys/processes.hpp>

namespace acme_agent {

/// The files of one deployment: the pair in the broker's folder, beside it what tells devices by their certificates,
/// and the copies in further folders.
class Installation {
 public:
  /// `readers` are the processes that will read the files; `stamp` as in Deployer::deploy(). Throws Error.
  Installation(const DeploymentTarget& target, const CertifiedKey& pair, const std::vector<Process>& readers,
               TimePoint now, const std::string& stamp);

  /// Whether the files lay in the folder, as they would be written now, when this began.
  bool was_there() const { return was_there_; }

  /// Puts the files into the folder, by one switch. Throws Error (retry, ask_operator) where they cannot be written or
  /// read, by us or by the readers: then nothing has changed.
  void install();

  /// Puts the pair into those further folders that are wanted. One that cannot be written keeps none of the others from
  /// its files, least of all the broker: it is trouble().
  void put_into_further_folders(const std::function<bool(const FurtherFolder&)>& is_wanted);
  bool put_into_any() const { return !put_into_.empty(); }

  /// The pair of the generation before; nothing if there is none.
  std::optional<CertifiedKey> pair_before() const;

  /// Puts that pair back, everywhere. A list that would let in a revoked device never goes back.
  void put_back(const CertifiedKey& before);

  /// Why some reader could not read the files in the folder.
  std::optional<std::string> why_unreadable() const { return why_unreadable_in(folder_.path()); }

  /// Two devices to try the broker with; null: no device has a certificate, or there is no authority for them.
  const ClientProof* proof() const;

  /// What kept some of the files from being written, or from being known; empty: nothing.
  const std::string& trouble() const { return trouble_; }

  /// The name of the generation that lies in the folder; empty: none.
  std::string generation() const;

  /// The stamp of the files, if those of the pair lie there.
  std::string stamp() const;

 private:
  std::vector<GenerationFolder::File> find_client_files();
  std::vector<GenerationFolder::File> files_for(const CertifiedKey& pair) const;
  bool lies_there() const;
  Ownership choose_ownership() const;
  std::optional<std::string> why_unreadable_in(const std::filesystem::path& folder) const;
  bool tells_devices_as_well(const std::filesystem::path& generation) const;

  const DeploymentTarget& target_;
  const CertifiedKey& pair_;
  const std::vector<Process>& readers_;
  const TimePoint now_;
  GenerationFolder folder_;
  std::string trouble_;
  std::optional<ClientFiles> clients_;
  const std::vector<GenerationFolder::File> beside_;  ///< The pair.
  const std::string stamp_;                           ///< When this began.
  const bool was_there_;
  bool switched_ = false;
  bool went_back_ = false;
  std::vector<const FurtherFolder*> put_into_;
};

}  // namespace acme_agent
