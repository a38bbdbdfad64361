#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/authority/authority.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/private_key.hpp>

namespace acme_agent {

/// A folder of roots/: a root and what came with it, placed there by one rename. Nothing but its lists of what is
/// revoked and the clients to probe them changes afterwards, and it is never removed, as the clock that says that it
/// has ended may be wrong.
struct Root {
  std::filesystem::path folder;
  Certificate certificate;
  Certificate devices;               ///< The authority for devices below it; it ends with it.
  std::optional<Certificate> cross;  ///< The same root as the one before has signed it.

  std::string id() const { return folder.filename().string(); }
};

/// A folder of servers/: an authority for servers, placed there by one rename.
struct Servers {
  std::filesystem::path folder;
  Certificate certificate;
};

/// What is told where a part of an authority is not there.
Error missing(const std::filesystem::path& path);

/// Ended or not yet begun as well, in no order. Throws Error (ask_operator) for what is damaged.
std::vector<Root> all_roots(const std::filesystem::path& authority);

/// Those that are valid at `now`, the newest first. Throw Error (ask_operator) for what is damaged.
std::vector<Root> roots_in(const std::filesystem::path& authority, TimePoint now);
std::vector<Servers> servers_in(const std::filesystem::path& authority, TimePoint now);

/// When the first of all roots began, ended or not; nothing if there is none.
std::optional<TimePoint> first_root_since(const std::filesystem::path& authority);

/// Eight digits that tell one key from another.
std::string id_of(const PrivateKey& key);

/// A certificate and its key in a folder: NAME.pem and NAME_key.pem.
void write_pair(const std::filesystem::path& folder, const std::string& name, const PrivateKey& key,
                const Certificate& certificate, const std::optional<Secret>& passphrase);
Issuer read_pair(const std::filesystem::path& folder, const std::string& name, const std::optional<Secret>& passphrase);

/// All keys that sign and lie there open, each file whole; nothing if one of the others has another passphrase.
void encrypt_keys(const std::filesystem::path& authority, const Secret& passphrase);
bool keys_encrypted(const std::filesystem::path& authority);

Certificate read_certificate(const std::filesystem::path& path);

/// Throws Error where that cannot be known, as for want of a right.
bool is_there(const std::filesystem::path& path);

/// Fills a new folder beside, and gives it its place when all of it is on the disk: it is there whole or not at all.
void place_folder(const std::filesystem::path& place, const std::function<void(const std::filesystem::path&)>& fill);

}  // namespace acme_agent
