#include <arpa/inet.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include <acme_agent/base/error.hpp>
#include <acme_agent/net/page_listener.hpp>

#include "http.hpp"
#include "listening.hpp"

namespace acme_agent {
namespace {

constexpr Purpose purpose = {"the status page", "--status-listen", "", "", false};
constexpr std::size_t most_connections = 16;  // a page may have megabytes

bool is_loopback(const Endpoint& address) {
  in_addr ipv4{};
  if (::inet_pton(AF_INET, address.host.c_str(), &ipv4) == 1) return ntohl(ipv4.s_addr) >> 24 == 127;
  in6_addr ipv6{};
  return ::inet_pton(AF_INET6, address.host.c_str(), &ipv6) == 1 && IN6_IS_ADDR_LOOPBACK(&ipv6);
}

/// Whether no name of somebody else can stand behind this header.
bool is_our_own(const std::string& host) {
  if (host.empty() || host.starts_with('[')) return true;
  const std::string name = host.substr(0, host.find(':'));
  in_addr ipv4{};
  return name == "localhost" || ::inet_pton(AF_INET, name.c_str(), &ipv4) == 1;
}

HttpAnswer with_headers(const Page& page) {
  return {page.status,
          {{"Content-Type", page.type},
           {"Cache-Control", "no-store"},
           {"Content-Security-Policy", page.policy},
           {"Cross-Origin-Resource-Policy", "same-origin"},
           {"Referrer-Policy", "no-referrer"},
           {"X-Content-Type-Options", "nosniff"}},
          page.body};
}

HttpAnswer in_words(int status, const std::string& words) {
  return with_headers({status, "text/plain; charset=utf-8", words + "\n"});
}

}  // namespace

struct PageListener::Serving {
  Serving(Find find, bool check_host)
      : http([find = std::move(find),
              check_host](const HttpRequest& request) { return answer(find, check_host, request); },
             in_words(400, "that is no request")) {}

  ~Serving() {
    loop.reset();
    if (!path.empty()) ::unlink(path.c_str());
  }

  static HttpAnswer answer(const Find& find, bool check_host, const HttpRequest& request) {
    if (check_host && !is_our_own(request.host))
      return in_words(421, "this is for requests to localhost; a proxy in front has to say so in the header Host");
    if (request.method != "GET" && request.method != "HEAD") {
      HttpAnswer refusal = in_words(405, "there is only something to read here");
      refusal.headers.emplace("Allow", "GET, HEAD");
      return refusal;
    }
    const std::optional<Page> page = find(request.target.substr(0, request.target.find('?')));
    return page ? with_headers(*page) : in_words(404, "there is no such page");
  }

  Http http;
  std::filesystem::path path;  // of a socket that is ours
  std::unique_ptr<ConnectionLoop> loop;
};

PageListener::PageListener(const SocketPlace& place, Find find,
                           std::function<std::string(std::uint16_t port)> port_holder) {
  const auto* address = std::get_if<Endpoint>(&place);
  serving_ = std::make_unique<Serving>(std::move(find), address != nullptr && is_loopback(*address));
  std::vector<Socket> sockets;
  if (address != nullptr) {
    sockets = listen_at(ListeningPlace{*address, std::move(port_holder), purpose});
    port_ = local_port(sockets.front());
  } else {
    const auto& path = std::get<std::filesystem::path>(place);
    sockets.push_back(listen_at(path, purpose));
    serving_->path = path;
  }
  Http& http = serving_->http;
  try {
    serving_->loop = std::make_unique<ConnectionLoop>(
        std::move(sockets), [&http] { return http.begin([](const std::string&) {}); }, most_connections);
  } catch (const std::system_error& failure) {
    throw Error(Remedy::retry, "cannot start the listener for the status page: " + failure.code().message());
  }
}

PageListener::~PageListener() = default;

}  // namespace acme_agent
