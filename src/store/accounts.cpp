#include <algorithm>
#include <string_view>

#include <acme_agent/base/entries.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/digest.hpp>
#include <acme_agent/store/state.hpp>
#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/generations.hpp>

#include "documents.hpp"

namespace acme_agent {
namespace {

constexpr const char* next_key_file = "key.pem.new";

bool safe_in_file_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
}

/// "ca.example:14000/dir" becomes "ca.example_14000-dir-" and eight digits that keep apart what looks alike.
std::string folder_name(std::string_view url) {
  std::string_view place = url;
  const std::size_t scheme = place.find("://");
  if (scheme != std::string_view::npos) place.remove_prefix(scheme + 3);
  std::string name;
  for (const char c : place.substr(0, 100)) name += safe_in_file_name(c) ? c : c == ':' ? '_' : '-';
  return name + "-" + to_hex(sha256(url)).substr(0, 8);
}

}  // namespace

std::filesystem::path Accounts::folder_for(const std::string& directory_url) const {
  return folder_ / folder_name(directory_url);
}

std::optional<Account> Accounts::load(const std::string& directory_url) const {
  const std::filesystem::path folder = folder_for(directory_url);
  const auto document = read_sound_document<AccountDocument>(folder / "account.json");
  if (document && !document->directory.empty() && document->directory != directory_url) {
    throw Error(Remedy::ask_operator, printable((folder / "account.json").native()) + " belongs to " +
                                          printable(document->directory) + " and not to " + printable(directory_url) +
                                          ": move the folder away");
  }
  const std::optional<PrivateKey> key = read_key(folder / "key.pem");
  if (!key) return std::nullopt;
  // Without its URL an account is found by its key (RFC 8555 7.3.1).
  if (!document || document->key != key->thumbprint()) return Account{*key, "", ""};
  return Account{*key, document->url, document->contact, document->since};
}

std::string Accounts::stamp(const std::string& directory_url) const {
  return GenerationFolder(folder_for(directory_url)).stamp({"key.pem", "account.json"});
}

void Accounts::save(const std::string& directory_url, const Account& account) const {
  const std::filesystem::path folder = folder_for(directory_url);
  make_folder(folder, 0700);
  const bool registered = !account.url.empty();
  write_file(folder / "key.pem", account.key.to_pem().reveal(), Ownership{}, registered ? Sync::content : Sync::none);
  const AccountDocument document{directory_url, account.url, account.contact, account.key.thumbprint(), account.since};
  write_file(folder / "account.json", to_json(document), Ownership{}, registered ? Sync::folder : Sync::none);
}

std::optional<PrivateKey> Accounts::next_key(const std::string& directory_url) const {
  return read_key(folder_for(directory_url) / next_key_file);
}

void Accounts::save_next_key(const std::string& directory_url, const PrivateKey& key) const {
  write_file(folder_for(directory_url) / next_key_file, key.to_pem().reveal(), Ownership{}, Sync::folder);
}

void Accounts::forget_next_key(const std::string& directory_url) const {
  std::error_code left;
  std::filesystem::remove(folder_for(directory_url) / next_key_file, left);
}

void Accounts::set_aside(const std::string& directory_url) const {
  const std::filesystem::path folder = folder_for(directory_url);
  std::error_code failed;
  std::filesystem::rename(folder / "key.pem", folder / "key.pem.deactivated", failed);
  if (failed && failed != std::errc::no_such_file_or_directory)
    throw_errno("cannot set aside", folder / "key.pem", failed.value());
  std::filesystem::remove(folder / "account.json", failed);
  forget_next_key(directory_url);
}

std::vector<std::string> Accounts::servers() const {
  std::vector<std::string> urls;
  std::error_code failed;
  for (const std::filesystem::path& entry : entries_of(folder_, failed)) {
    std::error_code unseen;
    if (!std::filesystem::is_directory(entry, unseen)) continue;
    const auto document = read_sound_document<AccountDocument>(entry / "account.json");
    if (document && !document->directory.empty()) urls.push_back(document->directory);
  }
  if (failed && failed != std::errc::no_such_file_or_directory)
    throw_errno("cannot look for accounts in", folder_, failed.value());
  std::sort(urls.begin(), urls.end());
  return urls;
}

Spent Accounts::load_spent(const std::string& directory_url) const {
  return read_sound_document<Spent>(folder_for(directory_url) / "limits.json").value_or(Spent{});
}

void Accounts::save_spent(const std::string& directory_url, const Spent& spent) const {
  const std::filesystem::path folder = folder_for(directory_url);
  make_folder(folder, 0700);
  write_file(folder / "limits.json", to_json(spent), Ownership{}, Sync::none);
}

void Accounts::refuse_newer(const std::string& directory_url) const {
  for (const char* file : {"account.json", "limits.json"}) acme_agent::refuse_newer(folder_for(directory_url) / file);
}

bool Accounts::set_damaged_key_aside(const std::string& directory_url) const {
  const std::filesystem::path key = folder_for(directory_url) / "key.pem";
  std::error_code none;
  if (!std::filesystem::exists(key, none) || read_key(key)) return false;
  std::filesystem::rename(key, key.string() + ".damaged", none);
  if (none) throw_errno("cannot set aside the damaged key", key, none.value());
  return true;
}

}  // namespace acme_agent
