#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/broker/mosquitto_conf.hpp>
#include <acme_agent/sys/processes.hpp>

namespace acme_agent {

/// What a first configuration depends on, as it is on this machine.
struct Surroundings {
  std::optional<Process> broker;      ///< The Mosquitto that runs; of several the first.
  std::filesystem::path conf_path;    ///< Its mosquitto.conf, as the broker sees it; empty: none was found.
  std::optional<MosquittoConf> conf;  ///< Nothing if there is none, or it cannot be read.
  bool systemd = false;               ///< It runs this machine,
  bool service = false;               ///< and has acme-agent.service.
  std::string port_80_holder;         ///< "nginx (pid 812)"; empty: the port is free.
  std::filesystem::path compose;      ///< A file for Docker Compose with a service called mosquitto; empty: none.
};

/// Looks around below `root` ("/") and in the folder `here`, and changes nothing. What we may not look at is as if it
/// were not there.
Surroundings look_around(const Processes& processes, const std::filesystem::path& root,
                         const std::filesystem::path& here);

/// What the operator has said, and where things go.
struct FirstCertificate {
  std::string name;
  std::vector<std::string> domains;
  std::string email;                   ///< Empty: none.
  std::vector<std::string> servers{};  ///< As the operator calls them; empty: the default.
  std::filesystem::path live;          ///< The folder where the broker will find the files.
  std::filesystem::path conf;          ///< Where the section of this certificate goes.
  bool configured = false;             ///< There is such a section already.
  std::string places{};  ///< Options by which the next commands find all that, a space before each; empty: none.
};

/// A first configuration, to be shown before anything is written.
struct Proposal {
  struct File {
    std::filesystem::path path;
    std::string content;
  };

  std::vector<std::string> found;    ///< One sentence each.
  std::vector<File> files;           ///< New ones only: nothing that is there is ever changed.
  std::vector<std::string> by_hand;  ///< What only the operator can do, one paragraph each.
  std::vector<std::string> next;     ///< What to type then, in this order.
};

/// Decides all of it; touches nothing.
Proposal propose(const Surroundings& surroundings, const FirstCertificate& wanted);

/// Leaves out what is there already, and says where that is not what would have been written.
void leave_what_is_there(Proposal& proposal, const FirstCertificate& wanted);

}  // namespace acme_agent
