#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/base/log.hpp>
#include <acme_agent/base/secret.hpp>
#include <acme_agent/status/report.hpp>

namespace acme_agent {

/// How a broker is reached.
struct MqttBroker {
  SocketPlace place;
  bool tls = false;  ///< Its certificate and its name are checked.
  std::string user;  ///< Empty: none.
  Secret password;
  std::optional<std::filesystem::path> ca_bundle;  ///< Nothing: the roots of the system.

  std::string text() const;
};

/// Keeps a broker told, by libmosquitto, which is loaded here: it costs nothing where this is not used. "online" and,
/// by the last will, "offline"; what changes, and everything again after a connection was lost. A broker that is away
/// is logged once and tried again within a minute. Nothing that the broker says is followed.
class MqttStatus {
 public:
  /// Throws Error (ask_operator) if libmosquitto is not there or refuses what it is told. Nothing is connected yet.
  MqttStatus(MqttBroker broker, std::string instance, Log& log);
  /// Says "offline" if it can.
  ~MqttStatus();

  /// Safe from every thread, and never waits for the broker.
  void show(const Reports& reports);
  /// An earlier run may have shown a certificate of this name, which is not looked after any more.
  void forget(const std::string& name);

 private:
  class Client;

  std::unique_ptr<Client> client_;
};

}  // namespace acme_agent
