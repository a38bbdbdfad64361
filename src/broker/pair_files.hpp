#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/sys/generations.hpp>

namespace acme_agent {

inline const std::vector<std::string> pair_files = {"cert.pem", "chain.pem", "fullchain.pem", "privkey.pem",
                                                    "combined.pem"};

/// What lies beside a pair where devices have certificates, too.
inline const std::vector<std::string> client_files = {"devices-ca.pem", "devices.crl"};

/// The five files of a pair (`interface.md`, Files).
std::vector<GenerationFolder::File> files_of(const CertifiedKey& pair);

/// Whether every file lies in `folder` with its content. Throws Error if one may not be read.
bool have_content(const std::filesystem::path& folder, const std::vector<GenerationFolder::File>& files);

/// The same, with this mode and, as far as they are set, this user and group.
bool lie_in(const std::filesystem::path& folder, const std::vector<GenerationFolder::File>& files,
            const Ownership& ownership);

/// The pair that lies in `folder`, also where certbot or a hand put it: key and chain that fit each other, or nothing.
/// Throws Error if a file may not be read.
std::optional<CertifiedKey> read_pair(const std::filesystem::path& folder);

/// Whether a certificate of somebody else lies in the folder with a key that we merely do not understand: of a kind
/// that KeyType does not know, encrypted, or among further PEM blocks. A broker may well serve it.
bool foreign_pair_lies_in(const std::filesystem::path& folder);

}  // namespace acme_agent
