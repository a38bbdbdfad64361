#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <acme_agent/broker/reloader.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/tls_peer.hpp>

#include "opinion.hpp"
#include "world.hpp"

namespace acme_agent::sim {

/// A broker that does with its files what Mosquitto does: it reads them when it starts and on SIGHUP, the chain before
/// the key, each into the slot of its kind of key; nothing goes back when one of them is wrong, and nobody is told.
/// One that asks devices for certificates and has a list of the revoked ones (`crlfile`) begins with nothing each time.
class Broker {
 public:
  Broker(World& world, std::filesystem::path folder, bool asks_devices)
      : world_(world), folder_(std::move(folder)), asks_devices_(asks_devices) {}

  /// Another process: nothing of what was served before is left. Without a pair that fits it does not start.
  void start();
  void stop() { up_ = false; }
  /// SIGHUP.
  void reload();
  /// What is written from now on cannot be read by the broker while a fault says so; what lies there can.
  void remember_readable();

  bool up() const { return up_; }
  bool asks_devices() const { return asks_devices_; }
  /// "ok", or why this device is not let in by the clock of the broker's machine.
  std::string admits(const Certificate& device) const;
  /// When the first of its lists of what is revoked ends; nothing if it has none.
  std::optional<TimePoint> lists_until() const { return lists_until_; }
  int pid() const { return pid_; }
  /// What a new handshake is shown; null if it fails.
  const CertificateChain* shown_to(TlsClient client) const;
  /// The leaf of that for a client of any kind; null if the handshake fails.
  struct Shown {
    std::string fingerprint;
    Validity validity;
    bool is_rsa;
    bool placeholder;
  };
  const Shown* shown() const { return up_ && shown_ ? &*shown_ : nullptr; }
  /// A start failed although it could read its files.
  bool refused_to_start() const { return refused_to_start_; }

 private:
  struct Slot {
    std::optional<CertificateChain> chain;
    std::optional<PrivateKey> key;

    bool usable() const { return chain && key; }
  };

  void load();
  void load_and_note();
  bool may_read(const char* file, Fault fault) const;
  bool load_lists();

  World& world_;
  const std::filesystem::path folder_;
  const bool asks_devices_;
  std::string ca_;
  std::string crl_;
  std::optional<TimePoint> lists_until_;
  struct OfDevice {
    Certificate certificate;
    Opinion opinion;
  };
  mutable std::map<const x509_st*, OfDevice> opinions_;
  std::array<Slot, 2> slots_;  ///< RSA, EC.
  bool up_ = false;
  bool refused_to_start_ = false;
  int pid_ = 1000;
  std::optional<Shown> shown_;
  std::filesystem::path readable_;
};

/// Tells the broker by SIGHUP.
std::shared_ptr<Reloader> reload_by_hangup(World& world, Broker& broker);

/// The broker that the probes of this process see; null: nobody listens.
extern const Broker* listening_broker;

}  // namespace acme_agent::sim
