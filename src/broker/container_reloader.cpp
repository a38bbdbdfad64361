#include <errno.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <utility>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/reloader.hpp>
#include <acme_agent/net/curl_transport.hpp>

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

constexpr const char* usual_sockets[] = {"/var/run/docker.sock", "/run/podman/podman.sock"};

fs::path usual_socket() {
  std::error_code none;
  for (const char* path : usual_sockets)
    if (fs::exists(path, none)) return path;
  throw Error(Remedy::ask_operator,
              "there is neither /var/run/docker.sock nor /run/podman/podman.sock: let the service run (for Podman "
              "systemctl enable --now podman.socket) and the socket be seen here, or name it with "
              "--reload container:NAME@SOCKET");
}

void require_access(const fs::path& socket) {
  if (::access(socket.c_str(), W_OK) == 0) return;
  if (errno == ENOENT) {
    throw Error(Remedy::ask_operator, "there is no " + printable(socket.native()) +
                                          ": let the service of the containers run, and its socket be seen here");
  }
  throw Error(Remedy::ask_operator,
              "user " + std::to_string(::geteuid()) + " may not use " + printable(socket.native()) +
                  ": let its group in, which makes us as mighty as root, or name a socket proxy with "
                  "--reload container:NAME@HOST:PORT");
}

class ContainerReloader final : public Reloader {
 public:
  ContainerReloader(std::string name, std::string socket, HttpClient client)
      : name_(std::move(name)), socket_(std::move(socket)), client_(std::move(client)) {}

  std::string describe() const override { return "container:" + name_ + (socket_.empty() ? "" : "@" + socket_); }

  bool reload(const Deployed&, const std::stop_token& stop) override { return ask_for("kill?signal=HUP", stop); }
  bool restart(const std::stop_token& stop) override { return ask_for("restart?t=5", stop); }

 private:
  bool ask_for(const std::string& what, const std::stop_token& stop) const {
    const bool by_path = socket_.empty() || socket_.starts_with('/');
    CurlTransport::Options options{.user_agent = client_.user_agent,
                                   .connect_timeout = client_.timeout,
                                   .timeout = client_.timeout,
                                   .plain_http = true,
                                   .direct = true};
    if (by_path) {
      options.unix_socket = socket_.empty() ? usual_socket() : fs::path(socket_);
      require_access(*options.unix_socket);
    }
    const std::string place = by_path ? options.unix_socket->string() : socket_;
    // Without a version in front: each service has its own idea of which is the oldest that counts.
    const std::string url = (by_path ? "http://localhost" : socket_) + "/containers/" + name_ + "/" + what;
    const Response response = CurlTransport(options).send(
        {.method = Request::Method::post, .url = url, .body = "", .content_type = ""}, stop);
    if (response.status != 204) throw refusal(response, printable(place), what);
    return true;
  }

  Error refusal(const Response& response, const std::string& place, const std::string& what) const {
    switch (response.status) {
      case 404:
        return Error(Remedy::ask_operator, place + " knows no container called " + name_ +
                                               ": start it, or correct the name ('docker ps' or 'podman ps' shows it)");
      case 409:
        return Error(Remedy::retry, "the container " + name_ + " does not run");
      case 401:
      case 403:
        return Error(Remedy::ask_operator,
                     place + " forbids it: let the proxy permit POST /containers/" + name_ + "/" +
                         what.substr(0, what.find('?')) +
                         " (docker-socket-proxy does with POST=1 and ALLOW_RESTARTS=1), and no more than that");
      default:
        break;
    }
    const std::string said = printable(trim(response.body), 200);
    return Error(response.status >= 500 ? Remedy::retry : Remedy::ask_operator,
                 place + " answered with status " + std::to_string(response.status) +
                     (said.empty() ? "" : " and \"" + said + "\"") +
                     ", and so not as Docker and Podman do when all is well");
  }

  const std::string name_;
  const std::string socket_;
  const HttpClient client_;
};

}  // namespace

std::unique_ptr<Reloader> reload_container(std::string name, std::string socket, HttpClient client) {
  return std::make_unique<ContainerReloader>(std::move(name), std::move(socket), std::move(client));
}

}  // namespace acme_agent
