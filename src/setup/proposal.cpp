#include <algorithm>

#include <acme_agent/base/text.hpp>
#include <acme_agent/setup/proposal.hpp>

#include "compose_example.hpp"

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

bool in_container(const Surroundings& surroundings) {
  return surroundings.broker && !surroundings.broker->sees_our_paths;
}

bool composed(const Surroundings& surroundings) {
  return !surroundings.compose.empty();
}

/// Where the broker finds the files: a container has the folder mounted as /certs.
fs::path seen_by_broker(const Surroundings& surroundings, const FirstCertificate& wanted) {
  return in_container(surroundings) || composed(surroundings) ? fs::path("/certs") : wanted.live;
}

std::string with(std::string text, std::string_view part, std::string_view replacement) {
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + replacement.size()))
    text.replace(at, part.size(), replacement);
  return text;
}

/// The user of Mosquitto's image, unless it runs as another one.
std::string user_of_broker(const Surroundings& surroundings) {
  if (!in_container(surroundings)) return "1883:1883";
  return std::to_string(surroundings.broker->uid) + ":" + std::to_string(surroundings.broker->gid);
}

/// The file of our example, with what the operator has said.
std::string compose_override(const Surroundings& surroundings, const FirstCertificate& wanted) {
  std::string domain = "\"";
  for (const std::string& name : wanted.domains) domain += (domain.size() > 1 ? ", " : "") + name;
  domain += "\"";
  std::string servers;
  for (const std::string& server : wanted.servers) servers += (servers.empty() ? "" : "\\n") + server;  // YAML's
  if (!servers.empty()) domain += "\n      ACME_AGENT_SERVER: \"" + servers + "\"";
  if (!wanted.email.empty()) domain += "\n      ACME_AGENT_EMAIL: \"" + wanted.email + "\"";
  std::string text = "# Made by 'acme-agent init': acme-agent beside the broker of " +
                     printable(surroundings.compose.filename().native()) +
                     ", which stays as it is; Docker Compose reads both.\n" +
                     std::string(compose_example.substr(compose_example.find('\n') + 1));
  text = with(text, "IOTstack's entrypoint changes", "an entrypoint may change");
  text = with(text, "ends if it may not", "end if it may not");
  return with(with(text, "\"${DOMAIN:?}\"", domain), "1883:1883", user_of_broker(surroundings));
}

/// Mosquitto without any listener of its own is there for this machine alone, at 1883.
bool has_listeners(const MosquittoConf& conf) {
  return conf.listeners.size() > 1 || conf.find_anywhere("port") != nullptr;
}

std::string files_of_listener(const fs::path& folder) {
  return "certfile " + (folder / "fullchain.pem").string() + "\nkeyfile " + (folder / "privkey.pem").string() + "\n";
}

std::string listener(const Surroundings& surroundings, const fs::path& folder) {
  std::string text;
  if (surroundings.conf && !has_listeners(*surroundings.conf))
    text +=
        "# Without any listener Mosquitto is there for this machine alone. The one below ends that, so it is said "
        "here.\n"
        "listener 1883 localhost\n\n";
  return text + "# For the devices, over TLS.\nlistener 8883\n" + files_of_listener(folder);
}

std::string section(const Surroundings& surroundings, const FirstCertificate& wanted) {
  std::string text =
      "# Made by 'acme-agent init'. Every option: 'acme-agent help options'. What is wrong: 'acme-agent check'.\n[" +
      wanted.name + "]\n";
  for (const std::string& domain : wanted.domains) text += "domain = " + domain + "\n";
  for (const std::string& server : wanted.servers) text += "server = " + server + "\n";
  if (!wanted.email.empty()) text += "email = " + wanted.email + "\n";
  if (!surroundings.port_80_holder.empty())
    text += "# Port 80 is held by " + printable(surroundings.port_80_holder) +
            ". Prove the name through its folder, or at port 443:\n#webroot = /var/www/html\n#challenge = "
            "tls-alpn-01\n";
  return text;
}

class Proposing {
 public:
  Proposing(const Surroundings& surroundings, const FirstCertificate& wanted)
      : surroundings_(surroundings), wanted_(wanted), folder_(seen_by_broker(surroundings, wanted)) {}

  Proposal proposal() && {
    tell_broker();
    tell_compose_file();
    if (composed(surroundings_))
      propose_containers();
    else
      propose_files();
    return std::move(proposal_);
  }

 private:
  void propose_files() {
    if (wanted_.configured)
      proposal_.found.push_back("The configuration has " + wanted_.name + " already.");
    else
      write(wanted_.conf, section(surroundings_, wanted_));
    look_at_port();
    if (in_container(surroundings_))
      proposal_.by_hand.push_back(
          "Let the container see the folder, and devices the port, then make it anew:\n  volumes: [\"" +
          wanted_.live.string() + ":/certs:ro\"]\n  ports: [\"8883:8883\"]");
    look_at_listeners();
    say_what_is_next();
  }

  /// acme-agent as a container beside that of the broker.
  void propose_containers() {
    const fs::path& compose = surroundings_.compose;
    write(compose.parent_path() / (compose.stem().string() + ".override" + compose.extension().string()),
          compose_override(surroundings_, wanted_));
    look_at_listeners();
    proposal_.next = {"docker build -f examples/container/Dockerfile -t acme-agent .    (in the sources of acme-agent)",
                      "mkdir -p volumes/acme-agent/certs volumes/acme-agent/state",
                      "sudo chown -R " + user_of_broker(surroundings_) + " volumes/acme-agent", "docker compose up -d",
                      "docker compose exec acme-agent acme-agent status"};
  }

  void write(fs::path path, std::string content) { proposal_.files.push_back({std::move(path), std::move(content)}); }

  void tell_broker() {
    const std::string conf =
        surroundings_.conf_path.empty() ? "" : " with " + printable(surroundings_.conf_path.native());
    if (surroundings_.broker) {
      const Process& broker = *surroundings_.broker;
      proposal_.found.push_back("Mosquitto runs" + std::string(in_container(surroundings_) ? " in a container" : "") +
                                " (pid " + std::to_string(broker.pid) + ", user " + std::to_string(broker.uid) + ")" +
                                conf + ".");
    } else if (!conf.empty()) {
      proposal_.found.push_back("Mosquitto is here" + conf + ", and does not run.");
    } else if (!composed(surroundings_)) {
      proposal_.found.emplace_back("There is no Mosquitto on this machine.");
    }
  }

  void tell_compose_file() {
    if (composed(surroundings_))
      proposal_.found.push_back(printable(surroundings_.compose.native()) + " has the service mosquitto.");
  }

  void look_at_port() {
    if (surroundings_.port_80_holder.empty()) return;
    proposal_.found.push_back("Port 80, by which the name is proven, is held by " +
                              printable(surroundings_.port_80_holder) + ".");
    if (!wanted_.configured)
      proposal_.by_hand.push_back("Choose another way to prove the name, in " + printable(wanted_.conf.native()) + ".");
  }

  void look_at_listeners() {
    bool has_tls = false;
    if (surroundings_.conf)
      for (const MosquittoConf::Section& one : surroundings_.conf->listeners)
        if (const MosquittoConf::Setting* certfile = one.find("certfile")) {
          has_tls = true;
          look_at_tls(one, *certfile);
        }
    if (has_tls || (!surroundings_.broker && surroundings_.conf_path.empty() && !composed(surroundings_))) return;
    const std::string lines = listener(surroundings_, folder_);
    const bool ours = surroundings_.conf && folder_ == wanted_.live && !surroundings_.conf->include_dirs.empty();
    if (ours)
      write(fs::path(surroundings_.conf->include_dirs.back()) / "acme-agent.conf", lines);
    else
      proposal_.by_hand.push_back("Add to " + name_of_conf() + ":\n  " + indented(lines));
    proposal_.by_hand.emplace_back(
        "Who may log in is for you to say (password_file, acl_file): with a listener of its own, Mosquitto lets nobody "
        "in without.");
  }

  /// A listener with certificates of somebody else's.
  void look_at_tls(const MosquittoConf::Section& one, const MosquittoConf::Setting& certfile) {
    const std::string key = one.value("keyfile");
    if (fs::path(certfile.value).parent_path() == folder_ && fs::path(key).parent_path() == folder_) {
      proposal_.found.push_back(certfile.text() + ", as it should.");
      return;
    }
    std::string advice = certfile.text() + ": let it be these two lines:\n  " + indented(files_of_listener(folder_));
    if (one.find("cafile") != nullptr && one.find("require_certificate") == nullptr)
      advice += "\nand take out its cafile: that is for the certificates of clients.";
    proposal_.by_hand.push_back(advice);
  }

  std::string name_of_conf() const {
    return surroundings_.conf_path.empty() ? "mosquitto.conf" : printable(surroundings_.conf_path.native());
  }

  static std::string indented(std::string_view lines) {
    std::string text(trim(lines));
    for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 3))
      text.replace(at, 1, "\n  ");
    return text;
  }

  void say_what_is_next() {
    std::vector<std::string>& next = proposal_.next;
    // The service reads the configuration in /etc, and keeps its state where systemd says.
    const bool by_service = surroundings_.service && wanted_.places.empty();
    next.emplace_back("sudo acme-agent --dry-run" + wanted_.places);
    next.emplace_back(by_service ? "sudo systemctl enable --now acme-agent"
                                 : "sudo acme-agent --once" + wanted_.places);
    if (in_container(surroundings_))
      next.emplace_back("docker compose up -d");
    else if (surroundings_.broker || !surroundings_.conf_path.empty())
      next.emplace_back(surroundings_.systemd ? "sudo systemctl restart mosquitto" : "(restart Mosquitto)");
    next.emplace_back("sudo acme-agent doctor" + wanted_.places);
  }

  const Surroundings& surroundings_;
  const FirstCertificate& wanted_;
  const fs::path folder_;
  Proposal proposal_;
};

}  // namespace

Proposal propose(const Surroundings& surroundings, const FirstCertificate& wanted) {
  return Proposing(surroundings, wanted).proposal();
}

}  // namespace acme_agent
