#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/sys/processes.hpp>

namespace acme_agent {

/// What a reload is about; hooks get it as environment variables.
struct Deployed {
  std::string name;                  ///< CERTIFICATE_NAME
  std::vector<std::string> domains;  ///< CERTIFICATE_DOMAINS, separated by spaces
  std::filesystem::path folder;      ///< CERTIFICATE_DIR: the broker's folder
};

/// One way to make a broker read its files again.
class Reloader {
 public:
  virtual ~Reloader() = default;

  /// For messages: the text of the option, like "process:mosquitto".
  virtual std::string describe() const = 0;

  /// The processes that will be told, as far as they are known: they must be able to read the files. Throws Error if
  /// it cannot be said for sure which they are (two brokers of one name, a stale pidfile).
  virtual std::vector<Process> targets() const { return {}; }

  /// Returns whether there was anybody to tell: that nothing of the name runs is no error for process:NAME.
  /// Throws Error if the broker cannot have been told, and Stopped.
  virtual bool reload(const Deployed& deployed, const std::stop_token& stop) = 0;

  /// Restarts the broker, which disconnects everybody. Returns whether there is a way to do that: for systemd:UNIT and
  /// container:NAME. Throws Error if it was tried in vain, and Stopped.
  virtual bool restart(const std::stop_token& /*stop*/) { return false; }
};

/// `process:NAME`: SIGHUP to the one process of that name; its children of the same name do not count. Two that are
/// unrelated are an Error that names their pids and suggests pidfile:PATH.
std::unique_ptr<Reloader> reload_process(std::string name, const Processes& processes);

/// `pidfile:PATH`: SIGHUP to the process whose pid is in the file, if it is older than the file (else the pid was
/// given to another process).
std::unique_ptr<Reloader> reload_pidfile(std::filesystem::path path, const Processes& processes);

/// `command:ARGV`: runs a program without a shell, for `timeout` at most; anything but exit 0 is an Error that carries
/// the end of its output. Its environment has what Deployed names, and certbot's RENEWED_LINEAGE and RENEWED_DOMAINS.
std::unique_ptr<Reloader> reload_command(std::vector<std::string> argv, Duration timeout, const Processes& processes);

/// `systemd:UNIT`: a reload as `systemctl reload UNIT` does it, within `timeout`. The unit's main process is who must
/// be able to read the files. That the unit does not run is an Error to retry.
std::unique_ptr<Reloader> reload_systemd(std::string unit, Duration timeout, const Processes& processes);

/// How others are asked over HTTP.
struct HttpClient {
  std::string user_agent;
  Duration timeout;  ///< For the whole exchange.
};

/// `container:NAME[@SOCKET]`: asks Docker or Podman for a SIGHUP to the first process of the container, and for nothing
/// else (`POST /containers/NAME/kill?signal=HUP`; `…/restart` for a restart). `socket` is a path or `http://HOST:PORT`,
/// a proxy that permits this; empty: Docker's own, else Podman's. That the container does not run is an Error to retry.
std::unique_ptr<Reloader> reload_container(std::string name, std::string socket, HttpClient client);

/// `url:URL`: an empty POST, where any 2xx is told. Of the URL nothing but scheme, host and port is ever shown.
std::unique_ptr<Reloader> reload_url(std::string url, HttpClient client);

}  // namespace acme_agent
