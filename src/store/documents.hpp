#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/private_key.hpp>
#include <acme_agent/store/state.hpp>

namespace acme_agent {

/// Thrown for a file that cannot be one of ours, with the reason in a clause: "it is not JSON". Stays in this room.
struct Damaged {
  std::string why;
};

/// account.json. `key` is the thumbprint of the key that the URL is good for: a crash may leave the URL of another one.
struct AccountDocument {
  std::string directory;
  std::string url;
  std::string contact;
  std::string key;
  std::optional<TimePoint> since{};
};

/// order.json; `key` as above.
struct OrderDocument {
  std::map<std::string, std::string> orders;
  std::string key;
  std::vector<Identifier> identifiers;
};

/// issued.json
struct IssuedDocument {
  std::string server;
  std::string order;
};

std::string to_json(const AccountDocument& document);
std::string to_json(const OrderDocument& document);
std::string to_json(const IssuedDocument& document);
std::string to_json(const Record& record);
std::string to_json(const Revocation& revocation);
/// limits.json
std::string to_json(const Spent& spent);

/// One of the above; nothing if there is no file. Fields that are missing or null keep their defaults.
/// Throws Damaged, and Error (ask_operator) for a file of a newer version.
template <class Document>
std::optional<Document> read_document(const std::filesystem::path& path);

/// The same, but a damaged file is nothing.
template <class Document>
std::optional<Document> read_sound_document(const std::filesystem::path& path) {
  try {
    return read_document<Document>(path);
  } catch (const Damaged&) {
    return std::nullopt;
  }
}

/// Throws Error (ask_operator) for a file of a newer version; one that we have written costs no more than to read it.
void refuse_newer(const std::filesystem::path& path);

/// Nothing if there is none, or what is there is none. Throws Error if it cannot be read: then nobody knows.
std::optional<PrivateKey> read_key(const std::filesystem::path& path);
std::optional<CertificateChain> read_chain(const std::filesystem::path& path);

}  // namespace acme_agent
