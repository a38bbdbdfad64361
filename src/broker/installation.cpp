#include "installation.hpp"

#include <acme_agent/base/error.hpp>

#include "lists_of_revoked.hpp"
#include "pair_files.hpp"
#include "reader_group.hpp"

namespace acme_agent {

namespace fs = std::filesystem;

Installation::Installation(const DeploymentTarget& target, const CertifiedKey& pair,
                           const std::vector<Process>& readers, TimePoint now, const std::string& stamp)
    : target_(target),
      pair_(pair),
      readers_(readers),
      now_(now),
      folder_(target.folder),
      beside_(find_client_files()),
      stamp_(Deployer::stamp(target)),
      was_there_((stamp_ == stamp && have_content(target.folder, beside_)) || lies_there()) {}

/// Where they are not to be had they stay as they are: Mosquitto 2.1 ends when its crlfile is gone, and 2.0 lets in
/// whoever was revoked.
std::vector<GenerationFolder::File> Installation::find_client_files() {
  try {
    if (target_.clients) clients_ = target_.clients->files(now_);
  } catch (const std::exception& error) {  // whatever it is, the certificate is deployed
    trouble_ = error.what();
  }
  if (clients_) return {{client_files[0], Secret(clients_->ca)}, {client_files[1], Secret(clients_->crl)}};
  std::vector<GenerationFolder::File> lying;
  if (const std::optional<fs::path> current = folder_.current())
    for (const std::string& name : client_files)
      if (std::optional<Secret> content = GenerationFolder(*current).read(name))
        lying.push_back({name, *std::move(content)});
  return lying;
}

std::vector<GenerationFolder::File> Installation::files_for(const CertifiedKey& pair) const {
  std::vector<GenerationFolder::File> files = files_of(pair);
  files.insert(files.end(), beside_.begin(), beside_.end());
  return files;
}

bool Installation::lies_there() const {
  Ownership wanted = target_.ownership;
  if (!target_.owner_given) wanted.gid.reset();  // a guess may differ from day to day
  return folder_.current() && lie_in(target_.folder, files_for(pair_), wanted);
}

Ownership Installation::choose_ownership() const {
  Ownership ownership = target_.ownership;
  if (!target_.owner_given && !ownership.gid) ownership.gid = reader_group(readers_, mosquitto_group(), own_process());
  return ownership;
}

std::optional<std::string> Installation::why_unreadable_in(const fs::path& folder) const {
  for (const Process& reader : readers_)
    for (const GenerationFolder::File& file : files_for(pair_))
      if (const std::optional<std::string> why = acme_agent::why_unreadable(reader, folder / file.name, target_.folder))
        return describe(reader) + " cannot read " + (folder_.path() / file.name).string() + ": " + *why;
  return std::nullopt;
}

void Installation::install() {
  const std::vector<GenerationFolder::File> files = files_for(pair_);
  const fs::path generation = folder_.prepare(files, choose_ownership());
  try {
    if (!have_content(generation, files))
      throw Error(Remedy::retry, "key and certificate written to " + generation.string() +
                                     " are not what is read again; is the disk sound?");
    if (const std::optional<std::string> why = why_unreadable_in(generation))
      throw Error(Remedy::ask_operator,
                  *why + "; nothing was changed: give --owner USER:GROUP or --mode 0640, or let it enter the folder");
  } catch (const Error&) {
    folder_.discard(generation);
    throw;
  }
  folder_.activate(generation);
  switched_ = true;
}

void Installation::put_into_further_folders(const std::function<bool(const FurtherFolder&)>& is_wanted) {
  for (const FurtherFolder& further : target_.further) {
    try {
      if (!is_wanted(further)) continue;
      further.put(pair_);
      put_into_.push_back(&further);
    } catch (const Error& error) {
      if (trouble_.empty()) trouble_ = error.message();
    }
  }
}

std::optional<CertifiedKey> Installation::pair_before() const {
  const std::optional<fs::path> generation = folder_.previous();
  return generation ? read_pair(*generation) : std::nullopt;
}

/// The list there does what ours does. New files may be as unreadable as those that broke the handshakes.
bool Installation::tells_devices_as_well(const fs::path& generation) const {
  if (have_content(generation, beside_)) return true;
  const std::optional<Secret> before = read_file(generation / client_files[1]);
  return before && clients_ && revokes_as_much(before->reveal(), clients_->crl, now_);
}

void Installation::put_back(const CertifiedKey& before) {
  const std::optional<fs::path> generation = folder_.previous();
  if (generation && tells_devices_as_well(*generation))
    folder_.activate(*generation);
  else
    folder_.activate(folder_.prepare(files_for(before), choose_ownership()));
  for (const FurtherFolder* further : put_into_) further->put_back();
  went_back_ = true;
}

const ClientProof* Installation::proof() const {
  return clients_ && clients_->proof ? &*clients_->proof : nullptr;
}

std::string Installation::generation() const {
  const std::optional<fs::path> current = folder_.current();
  return current ? current->filename().string() : "";
}

std::string Installation::stamp() const {
  if (went_back_ || !(was_there_ || switched_)) return {};
  return switched_ ? Deployer::stamp(target_) : stamp_;
}

}  // namespace acme_agent
