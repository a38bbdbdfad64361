#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <stop_token>
#include <string>
#include <thread>

#include <acme_agent/base/error.hpp>
#include <acme_agent/broker/reloader.hpp>
#include <acme_agent/sys/file.hpp>

#include "http_peer.hpp"
#include "support/temp_dir.hpp"

namespace acme_agent::test {
namespace {

using namespace std::chrono_literals;
using Manner = HttpPeer::Manner;

const Deployed deployed{"mqtt.example", {"mqtt.example"}, "/srv/certs"};
const HttpClient client{"acme-agent/test", 5s};
const std::string no_content = "HTTP/1.1 204 No Content\r\n\r\n";

std::string answer(const std::string& status, const std::string& body = "") {
  return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

Error error_of(Reloader& reloader) {
  try {
    reloader.reload(deployed, {});
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("no error");
}

bool says(const Error& error, const std::string& words) {
  return error.message().find(words) != std::string::npos;
}

/// While it lives, the environment names a proxy where nobody is.
struct BrokenProxy {
  BrokenProxy() { ::setenv("http_proxy", "http://127.0.0.1:1", 1); }
  ~BrokenProxy() { ::unsetenv("http_proxy"); }
};

}  // namespace

TEST_CASE("a container is told by one request for SIGHUP at the socket, and by nothing else") {
  const TempDir dir;
  const HttpPeer docker(no_content, Manner::once, dir / "docker.sock");
  const auto reloader = reload_container("iot_mosquitto-1", dir / "docker.sock", client);
  CHECK(reloader->describe() == "container:iot_mosquitto-1@" + (dir / "docker.sock").string());
  CHECK(reloader->targets().empty());
  CHECK(reloader->reload(deployed, {}));
  REQUIRE(docker.requests().size() == 1);
  const std::string request = docker.requests().front();
  CHECK(request.starts_with("POST /containers/iot_mosquitto-1/kill?signal=HUP HTTP/1.1\r\n"));
  CHECK(request.find("Content-Length: 0\r\n") != std::string::npos);
  CHECK(request.find("Content-Type") == std::string::npos);
  CHECK(request.ends_with("\r\n\r\n"));
}

TEST_CASE("a container is restarted by one request, and a refusal of that names it") {
  const TempDir dir;
  const HttpPeer docker(no_content, Manner::once, dir / "docker.sock");
  CHECK(reload_container("mosquitto", dir / "docker.sock", client)->restart({}));
  REQUIRE(docker.requests().size() == 1);
  CHECK(docker.requests().front().starts_with("POST /containers/mosquitto/restart?t=5 HTTP/1.1\r\n"));
  const HttpPeer proxy(answer("403 Forbidden"));
  CHECK_THROWS_WITH_AS(reload_container("mosquitto", "http://" + proxy.place(), client)->restart({}),
                       doctest::Contains("permit POST /containers/mosquitto/restart"), Error);
}

TEST_CASE("who has no way to restart a broker says so") {
  SystemProcesses processes;
  CHECK_FALSE(reload_process("nobody", processes)->restart({}));
  CHECK_FALSE(reload_command({"/bin/false"}, 1s, processes)->restart({}));
}

TEST_CASE("a socket proxy is asked at its port, past every other proxy") {
  const BrokenProxy broken;
  const HttpPeer proxy(no_content);
  const auto reloader = reload_container("mosquitto", "http://" + proxy.place(), client);
  CHECK(reloader->describe() == "container:mosquitto@http://" + proxy.place());
  CHECK(reloader->reload(deployed, {}));
  REQUIRE(proxy.requests().size() == 1);
  CHECK(proxy.requests().front().starts_with("POST /containers/mosquitto/kill?signal=HUP "));
}

TEST_CASE("what Docker, Podman and proxies refuse is told with what to do about it") {
  struct Refusal {
    std::string answer;
    Remedy remedy;
    std::string sentence;
  };
  for (const Refusal& refusal :
       {Refusal{answer("404 Not Found"), Remedy::ask_operator, "knows no container called mosquitto"},
        Refusal{answer("409 Conflict"), Remedy::retry, "the container mosquitto does not run"},
        Refusal{answer("403 Forbidden", "<html>"), Remedy::ask_operator, "permit POST /containers/mosquitto/kill"},
        Refusal{answer("500 Error", "no \x1b[2J process\n"), Remedy::retry, "status 500 and \"no \\x1b[2J process\""},
        Refusal{answer("400 Bad Request", std::string(5000, 'x')), Remedy::ask_operator, "status 400"},
        Refusal{answer("301 Moved"), Remedy::ask_operator, "status 301"},
        Refusal{answer("200 OK", "a web page"), Remedy::ask_operator, "status 200 and \"a web page\""}}) {
    CAPTURE(refusal.answer.substr(0, 40));
    const TempDir dir;
    const HttpPeer docker(refusal.answer, Manner::once, dir / "docker.sock");
    const Error error = error_of(*reload_container("mosquitto", dir / "docker.sock", client));
    CHECK(error.remedy() == refusal.remedy);
    CHECK(says(error, refusal.sentence));
    CHECK_FALSE(says(error, "\x1b"));
    CHECK(error.message().size() < 500);
  }
}

TEST_CASE("a socket that is not there, or where nobody listens, is named") {
  const TempDir dir;
  const auto reloader = reload_container("mosquitto", dir / "docker.sock", client);
  CHECK(error_of(*reloader).remedy() == Remedy::ask_operator);
  CHECK(says(error_of(*reloader), "there is no " + (dir / "docker.sock").string()));
  { const HttpPeer gone(no_content, Manner::once, dir / "docker.sock"); }
  CHECK(error_of(*reloader).remedy() == Remedy::retry);
  CHECK(says(error_of(*reloader), "cannot reach " + (dir / "docker.sock").string() + ": Connection refused"));
}

TEST_CASE(
    "no answer at all, an endless one, garbage or a torn one: each is an error within the time that it may take") {
  struct Hostile {
    std::string answer;
    Manner manner;
  };
  for (const Hostile& hostile :
       {Hostile{"-", Manner::silent}, Hostile{"\x16\x03\x01 garbage\r\n\r\n", Manner::once},
        Hostile{"x", Manner::for_ever}, Hostile{"HTTP/1.1 204 No Content\r\nX: y", Manner::for_ever},
        Hostile{"HTTP/1.1 500 Error\r\n\r\nx", Manner::for_ever},
        Hostile{"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\nx", Manner::for_ever},
        Hostile{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", Manner::once},
        Hostile{"HTTP/1.1 204 No", Manner::once}}) {
    CAPTURE(hostile.answer);
    const TempDir dir;
    const HttpPeer peer(hostile.answer, hostile.manner, dir / "socket");
    const HttpPeer port(hostile.answer, hostile.manner);
    const HttpClient hasty{"acme-agent/test", 500ms};
    for (const auto& reloader :
         {reload_container("mosquitto", dir / "socket", hasty), reload_url("http://" + port.place() + "/", hasty)}) {
      const auto began = std::chrono::steady_clock::now();
      const Error error = error_of(*reloader);
      CHECK(error.remedy() == Remedy::retry);
      CHECK(error.message().size() < 500);
      CHECK(std::chrono::steady_clock::now() - began < 3s);
    }
  }
}

TEST_CASE("a stop ends a request that is not answered") {
  const TempDir dir;
  const HttpPeer docker("", Manner::silent, dir / "socket");
  const auto reloader = reload_container("mosquitto", dir / "socket", {"acme-agent/test", 60s});
  std::stop_source stop;
  std::thread stopper([&] {
    while (docker.requests().empty()) std::this_thread::sleep_for(5ms);
    stop.request_stop();
  });
  const auto began = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(reloader->reload(deployed, stop.get_token()), Stopped);
  CHECK(std::chrono::steady_clock::now() - began < 10s);
  stopper.join();
}

TEST_CASE("a URL gets an empty POST, and any answer of success means told") {
  for (const char* status : {"200 OK", "202 Accepted", "204 No Content"}) {
    const HttpPeer hook(std::string("HTTP/1.1 ") + status + "\r\nContent-Length: 0\r\n\r\n");
    const auto reloader = reload_url("http://" + hook.place() + "/api/reload?token=x", client);
    CHECK(reloader->targets().empty());
    CHECK(reloader->reload(deployed, {}));
    REQUIRE(hook.requests().size() == 1);
    CHECK(hook.requests().front().starts_with("POST /api/reload?token=x HTTP/1.1\r\n"));
    CHECK(hook.requests().front().find("Content-Length: 0\r\n") != std::string::npos);
  }
}

TEST_CASE("user and password of a URL are sent as such, and shown to nobody") {
  const HttpPeer hook(no_content);
  const auto reloader = reload_url("http://me:p%40ss@" + hook.place() + "/hook", client);
  CHECK(reloader->reload(deployed, {}));
  CHECK(hook.requests().front().find("Authorization: Basic bWU6cEBzcw==\r\n") != std::string::npos);
}

TEST_CASE("of a URL nothing is shown that may be a secret, whatever happens") {
  const auto of = [](const std::string& url) { return reload_url(url, client)->describe(); };
  CHECK(of("https://user:pass@hooks.example/T0/secret?token=secret") == "url:https://hooks.example");
  CHECK(of("https://hooks.example:8443?token=secret") == "url:https://hooks.example:8443");
  CHECK(of("http://a@b@[::1]:80/x@y") == "url:http://[::1]:80");

  const std::string secrets = "/hidden?token=hidden";
  std::vector<Error> errors;
  for (const char* status : {"302 Found", "401 Unauthorized", "404 Not Found", "429 Slow down", "503 Not now"}) {
    const HttpPeer hook(answer(status, "http://hidden"));
    errors.push_back(error_of(*reload_url("http://hidden:hidden@" + hook.place() + secrets, client)));
  }
  for (const char* place : {"127.0.0.1:1", "nowhere.invalid"})
    errors.push_back(error_of(*reload_url(std::string("http://hidden:hidden@") + place + secrets, client)));
  for (const Error& error : errors) {
    CAPTURE(error.message());
    CHECK_FALSE(says(error, "hidden"));
  }
  CHECK(says(errors[0], "leads elsewhere"));
  CHECK(errors[1].remedy() == Remedy::ask_operator);
  CHECK(errors[2].remedy() == Remedy::ask_operator);
  CHECK(errors[3].remedy() == Remedy::retry);
  CHECK(errors[4].remedy() == Remedy::retry);
  CHECK(errors[5].remedy() == Remedy::retry);
}

TEST_CASE("a URL is asked through the proxy that the environment names") {
  const BrokenProxy broken;
  const HttpPeer hook(no_content);
  CHECK(says(error_of(*reload_url("http://" + hook.place() + "/", client)), "127.0.0.1 port 1"));
  CHECK(hook.requests().empty());
}

}  // namespace acme_agent::test
