#include "pair_files.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/secret.hpp>

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

std::optional<CertifiedKey> parse_pair(const Secret& key_pem, std::string_view chain_pem) {
  try {
    CertifiedKey pair{PrivateKey::from_pem(key_pem), CertificateChain::from_pem(chain_pem)};
    if (pair.chain.leaf().has_public_key_of(pair.key)) return pair;
  } catch (const Error&) {  // torn, empty, or of a kind that we do not know
  }
  return std::nullopt;
}

std::optional<Certificate> first_certificate(std::string_view text) {
  constexpr std::string_view end_line = "-----END CERTIFICATE-----";
  const std::size_t begin = text.find("-----BEGIN CERTIFICATE-----");
  const std::size_t end = text.find(end_line, begin);
  if (begin == std::string_view::npos || end == std::string_view::npos) return std::nullopt;
  try {
    return CertificateChain::from_pem(text.substr(begin, end + end_line.size() - begin)).leaf();
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool has_ownership(const fs::path& path, const Ownership& ownership) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw_errno("cannot read", path, errno);
  return (status.st_mode & 07777) == ownership.mode && ownership.uid.value_or(status.st_uid) == status.st_uid &&
         ownership.gid.value_or(status.st_gid) == status.st_gid;
}

}  // namespace

std::vector<GenerationFolder::File> files_of(const CertifiedKey& pair) {
  const std::string leaf = pair.chain.leaf_pem();
  const std::string rest = pair.chain.rest_pem();
  const Secret key = pair.key.to_pem();
  Secret combined = key;
  combined.append(leaf + rest);
  return {{"cert.pem", Secret(leaf)},
          {"chain.pem", Secret(rest.empty() ? leaf : rest)},  // Mosquitto refuses an empty file
          {"fullchain.pem", Secret(leaf + rest)},
          {"privkey.pem", key},
          {"combined.pem", combined}};
}

bool have_content(const fs::path& folder, const std::vector<GenerationFolder::File>& files) {
  return std::all_of(files.begin(), files.end(), [&](const GenerationFolder::File& file) {
    const std::optional<Secret> content = read_file(folder / file.name);
    return content && content->reveal() == file.content.reveal();
  });
}

bool lie_in(const fs::path& folder, const std::vector<GenerationFolder::File>& files, const Ownership& ownership) {
  return have_content(folder, files) &&
         std::all_of(files.begin(), files.end(),
                     [&](const GenerationFolder::File& file) { return has_ownership(folder / file.name, ownership); });
}

std::optional<CertifiedKey> read_pair(const fs::path& folder) {
  const GenerationFolder lying(folder);
  if (const std::optional<Secret> key = lying.read("privkey.pem")) {
    if (const std::optional<Secret> fullchain = lying.read("fullchain.pem")) {
      if (auto pair = parse_pair(*key, fullchain->reveal())) return pair;
    }
    if (const std::optional<Secret> leaf = lying.read("cert.pem")) {
      const std::optional<Secret> rest = lying.read("chain.pem");
      const std::string chain = std::string(leaf->reveal()) + (rest ? std::string(rest->reveal()) : "");
      if (auto pair = parse_pair(*key, chain)) return pair;
    }
  }
  if (const std::optional<Secret> combined = lying.read("combined.pem")) {
    const std::size_t chain = combined->reveal().find("-----BEGIN CERTIFICATE-----");
    if (chain != std::string_view::npos) return parse_pair(*combined, combined->reveal().substr(chain));
  }
  return std::nullopt;
}

bool foreign_pair_lies_in(const fs::path& folder) {
  const std::optional<Secret> key = read_file(folder / "privkey.pem");
  if (!key || key->reveal().find("PRIVATE KEY-----\n", key->reveal().find("-----END ")) == std::string_view::npos)
    return false;
  for (const char* name : {"fullchain.pem", "cert.pem"}) {
    const std::optional<Secret> text = read_file(folder / name);
    const std::optional<Certificate> leaf = text ? first_certificate(text->reveal()) : std::nullopt;
    if (!leaf || leaf->placeholder()) continue;
    try {
      return leaf->has_public_key_of(PrivateKey::from_pem(*key));
    } catch (const Error&) {
      return true;
    }
  }
  return false;
}

}  // namespace acme_agent
