#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/base/identifier.hpp>
#include <acme_agent/base/secret.hpp>
#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {

/// What a device was issued, and what it has to know of the broker.
struct DevicePapers {
  std::string name;
  CertificateChain chain;
  std::optional<PrivateKey> key;     ///< Nothing: whoever made the signing request has it.
  std::string broker_roots;          ///< PEM; empty: those that every system knows.
  std::optional<Identifier> broker;  ///< Where clients reach it; nothing: nobody has said it.
  std::filesystem::path folder;      ///< Where the files are going to lie.
};

/// The same in the form that the device wants it in.
struct DeviceKit {
  struct File {
    std::string name;
    Secret content;
  };

  Secret typed;             ///< What is to be typed or pasted; empty where the device wants files.
  std::vector<File> files;  ///< Where nothing is typed.
  std::string advice;       ///< What to do with it, in lines.
};

/// The words of `ca issue --for`.
std::vector<std::string> device_kit_words();

/// Whether the kind of device wants files, rather than something to type.
bool wants_files(std::string_view kind);

/// For one of these words. Throws Error (ask_operator) if the device cannot take it.
DeviceKit make_kit(std::string_view kind, const DevicePapers& papers);

}  // namespace acme_agent
