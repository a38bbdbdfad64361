#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/doctor/finding.hpp>
#include <acme_agent/sys/processes.hpp>

namespace acme_agent {

/// What a broker's configuration is held against.
struct MosquittoCase {
  std::filesystem::path conf;              ///< As the broker sees it.
  std::filesystem::path root = "/";        ///< The broker's root folder as we see it.
  std::filesystem::path cert_dir;          ///< As we see it.
  std::optional<CertificateChain> held{};  ///< What it shall serve.
  std::optional<Process> broker{};         ///< Nothing: it does not run.
  bool tls12_devices = false;              ///< There are devices that speak TLS 1.2 only.
  bool own_authority = false;              ///< What is held is of our own: no stranger has a certificate of that.
  TimePoint now{};
};

/// What in mosquitto.conf and its files makes a certificate fail, now or at the next renewal; nothing where all is
/// well. Throws nothing.
Findings examine_mosquitto(const MosquittoCase& mosquitto);

}  // namespace acme_agent
