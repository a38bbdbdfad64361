#include "storage.hpp"

#include <algorithm>

#include <acme_agent/base/entries.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/digest.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {
namespace {

Secret read_whole(const std::filesystem::path& path) {
  std::optional<Secret> content = read_file(path);
  if (!content) throw missing(path);
  return *std::move(content);
}

Error damaged(const std::filesystem::path& path, const Error& error) {
  return Error(Remedy::ask_operator, "the authority is damaged: " + printable(path.native()) + ": " + error.message() +
                                         ": put the folder back from a backup");
}

/// The folders in it; what is not finished begins with a dot.
std::vector<std::filesystem::path> folders_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> folders;
  std::error_code failed;
  for (const std::filesystem::path& entry : entries_of(folder, failed))
    if (!entry.filename().native().starts_with('.')) folders.push_back(entry);
  if (failed == std::errc::no_such_file_or_directory) throw missing(folder);
  if (failed) throw_errno("the authority cannot be read:", folder, failed.value());
  return folders;
}

/// Whose keys sign, in date or not: folder and name. Those of the clients to probe with lie open.
std::vector<std::pair<std::filesystem::path, std::string>> signing_pairs(const std::filesystem::path& authority) {
  std::vector<std::pair<std::filesystem::path, std::string>> pairs;
  for (const std::filesystem::path& folder : folders_in(authority / "roots"))
    for (const char* name : {"root", "devices"}) pairs.emplace_back(folder, name);
  for (const std::filesystem::path& folder : folders_in(authority / "servers")) pairs.emplace_back(folder, "servers");
  return pairs;
}

std::filesystem::path key_file(const std::filesystem::path& folder, const std::string& name) {
  return folder / (name + "_key.pem");
}

bool encrypted(const Secret& pem) {
  return pem.reveal().find("ENCRYPTED PRIVATE KEY") != std::string_view::npos;
}

template <class Made>
void keep_valid(std::vector<Made>& all, TimePoint now) {
  std::erase_if(all, [now](const Made& made) { return !made.certificate.validity().contains(now); });
  std::ranges::sort(all, [](const Made& one, const Made& other) {
    return one.certificate.validity().not_before > other.certificate.validity().not_before;
  });
}

}  // namespace

Error missing(const std::filesystem::path& path) {
  return Error(Remedy::ask_operator, "the authority is damaged: " + printable(path.native()) +
                                         " is missing: put the folder back from a backup");
}

std::vector<Root> all_roots(const std::filesystem::path& authority) {
  std::vector<Root> roots;
  for (const std::filesystem::path& folder : folders_in(authority / "roots")) {
    std::optional<Certificate> cross;
    if (is_there(folder / "cross.pem")) cross = read_certificate(folder / "cross.pem");
    roots.push_back({folder, read_certificate(folder / "root.pem"), read_certificate(folder / "devices.pem"), cross});
  }
  return roots;
}

std::vector<Root> roots_in(const std::filesystem::path& authority, TimePoint now) {
  std::vector<Root> roots = all_roots(authority);
  keep_valid(roots, now);
  return roots;
}

std::vector<Servers> servers_in(const std::filesystem::path& authority, TimePoint now) {
  std::vector<Servers> servers;
  for (const std::filesystem::path& folder : folders_in(authority / "servers"))
    servers.push_back({folder, read_certificate(folder / "servers.pem")});
  keep_valid(servers, now);
  return servers;
}

std::optional<TimePoint> first_root_since(const std::filesystem::path& authority) {
  std::optional<TimePoint> first;
  for (const Root& root : all_roots(authority)) {
    const TimePoint since = root.certificate.validity().not_before;
    first = std::min(first.value_or(since), since);
  }
  return first;
}

std::string id_of(const PrivateKey& key) {
  return to_hex(sha256(key.jwk())).substr(0, 8);
}

void write_pair(const std::filesystem::path& folder, const std::string& name, const PrivateKey& key,
                const Certificate& certificate, const std::optional<Secret>& passphrase) {
  create_file(key_file(folder, name), (passphrase ? key.to_encrypted_pem(*passphrase) : key.to_pem()).reveal(),
              Ownership{});
  create_file(folder / (name + ".pem"), certificate.pem(), Ownership{});
}

Issuer read_pair(const std::filesystem::path& folder, const std::string& name,
                 const std::optional<Secret>& passphrase) {
  const Certificate certificate = read_certificate(folder / (name + ".pem"));
  const std::filesystem::path path = key_file(folder, name);
  const Secret pem = read_whole(path);
  if (!passphrase && encrypted(pem))
    throw Error(Remedy::ask_operator,
                printable(path.native()) + " is encrypted: give its passphrase by --ca-passphrase-file");
  try {
    PrivateKey key = passphrase ? PrivateKey::from_encrypted_pem(pem, *passphrase) : PrivateKey::from_pem(pem);
    if (!certificate.has_public_key_of(key)) throw Error(Remedy::ask_operator, "it is the key of another certificate");
    return {std::move(key), certificate};
  } catch (const Error& error) {
    if (passphrase) throw error.while_doing(printable(path.native()));
    throw damaged(path, error);
  }
}

void encrypt_keys(const std::filesystem::path& authority, const Secret& passphrase) {
  std::vector<std::pair<std::filesystem::path, PrivateKey>> open;
  for (const auto& [folder, name] : signing_pairs(authority)) {
    const Issuer pair = read_pair(folder, name, passphrase);
    if (!encrypted(read_whole(key_file(folder, name)))) open.emplace_back(key_file(folder, name), pair.key);
  }
  for (const auto& [file, key] : open) write_file(file, key.to_encrypted_pem(passphrase).reveal(), Ownership{});
}

bool keys_encrypted(const std::filesystem::path& authority) {
  return std::ranges::all_of(signing_pairs(authority),
                             [](const auto& pair) { return encrypted(read_whole(key_file(pair.first, pair.second))); });
}

Certificate read_certificate(const std::filesystem::path& path) {
  const Secret pem = read_whole(path);
  try {
    return CertificateChain::from_pem(pem.reveal()).leaf();
  } catch (const Error& error) {
    throw damaged(path, error);
  }
}

bool is_there(const std::filesystem::path& path) {
  std::error_code failed;
  const bool found = std::filesystem::exists(path, failed);
  if (failed) throw_errno("the authority cannot be read:", path, failed.value());
  return found;
}

void place_folder(const std::filesystem::path& place, const std::function<void(const std::filesystem::path&)>& fill) {
  const std::filesystem::path parent = place.parent_path();
  const std::filesystem::path made = parent / ".authority.new";
  std::error_code failed;
  std::filesystem::remove_all(made, failed);  // what a crash has left
  make_folder(made, 0700);
  fill(made);
  sync_folder(made);
  std::filesystem::rename(made, place, failed);
  if (failed) throw_errno("cannot make the folder", place, failed.value());
  sync_folder(parent);
}

}  // namespace acme_agent
