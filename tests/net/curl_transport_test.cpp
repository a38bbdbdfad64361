#include <dlfcn.h>
#include <doctest/doctest.h>
#include <netdb.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

#include <acme_agent/net/curl_transport.hpp>

#include "child.hpp"
#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;
using acme_agent::test::Child;
using Steady = std::chrono::steady_clock;

namespace {

// A name server that does not answer: glibc would try for half a minute.
struct HungResolver {
  std::mutex mutex;
  std::condition_variable changed;
  bool asked = false;
  bool released = false;
  bool left = false;
} hung_resolver;

/// A root and what it signed, made once for all tests.
class Certificates {
 public:
  Certificates() {
    make("req -x509 -days 2 -subj '/CN=test root' -out root.pem -keyout root.key " + new_key);
    make("req -x509 -days 2 -subj '/CN=other root' -out other.pem -keyout other.key " + new_key);
    sign("localhost", "DNS:localhost", "-days 2");
    sign("elsewhere", "DNS:elsewhere.example", "-days 2");
    sign("expired", "DNS:localhost", "-days -1");
    named_in("pkix", "printable", "-keyout printable.key " + new_key);
    named_in("utf8only", "utf8", "-new -key printable.key");
    sign("printable-leaf", "DNS:localhost", "-days 2", "printable");
    sign("printable-sibling", "DNS:localhost", "-days 2", "printable");
  }

  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

 private:
  /// A root whose name is written with the string types of `mask`.
  void named_in(const std::string& mask, const std::string& name, const std::string& key) {
    std::ofstream(folder_ / (name + ".cnf")) << "[req]\ndistinguished_name=dn\nstring_mask=" << mask << "\n[dn]\n";
    make("req -x509 -days 2 -subj '/CN=a root' -addext basicConstraints=critical,CA:TRUE -config " + name +
         ".cnf -out " + name + ".pem " + key);
  }
  void sign(const std::string& name, const std::string& alternative_name, const std::string& validity,
            const std::string& root = "root") {
    std::ofstream(folder_ / (name + ".ext")) << "subjectAltName=" << alternative_name << "\n";
    make("req -subj /CN=leaf -out " + name + ".csr -keyout " + name + ".key " + new_key);
    make("x509 -req -in " + name + ".csr -CA " + root + ".pem -CAkey " + root + ".key -CAcreateserial -extfile " +
         name + ".ext " + validity + " -out " + name + ".crt");
    std::ofstream both(folder_ / (name + ".pem"));
    both << std::ifstream(folder_ / (name + ".crt")).rdbuf() << std::ifstream(folder_ / (name + ".key")).rdbuf();
  }
  void make(const std::string& arguments) {
    const std::string command = "cd " + folder_.path().string() + " && openssl " + arguments + " 2>log";
    if (std::system(command.c_str()) != 0) throw std::runtime_error(command);
  }

  const std::string new_key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
  test::TempDir folder_;
};

const Certificates& certificates() {
  static const Certificates made;
  return made;
}

class Server {
 public:
  explicit Server(const std::string& certificate = "localhost", const std::string& mode = "tls")
      : child_({"python3", HTTPS_SERVER, (certificates() / (certificate + ".pem")).string(), mode}) {}

  std::string place() const { return "localhost:" + child_.first_line(); }
  std::string url(const std::string& path) const { return "https://" + place() + path; }

 private:
  Child child_;
};

CurlTransport::Options trusting(const std::string& root) {
  return {.user_agent = "acme-agent/test", .ca_bundle = certificates() / (root + ".pem")};
}

Request get(const std::string& url) {
  return {.method = Request::Method::get, .url = url, .body = "", .content_type = ""};
}
Request post(const std::string& url, const std::string& body) {
  return {.method = Request::Method::post, .url = url, .body = body, .content_type = "application/jose+json"};
}

struct Exchanges {
  Server server;
  CurlTransport transport{trusting("root")};

  Response send(const Request& request) { return transport.send(request, std::stop_token()); }
  Response get(const std::string& path) { return send(::get(server.url(path))); }
  Response post(const std::string& path, const std::string& body) { return send(::post(server.url(path), body)); }
  std::string connections() { return get("/connections").body; }
};

Error failure_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("no error");
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// How long `send` goes on after a stop that is requested once `ready` is fulfilled.
Duration time_to_stop(CurlTransport& transport, const Request& request, const std::function<void()>& wait_until_ready) {
  std::stop_source stop;
  auto sending = std::async(std::launch::async, [&] {
    CHECK_THROWS_AS(transport.send(request, stop.get_token()), Stopped);
    return Steady::now();
  });
  wait_until_ready();
  const auto asked = Steady::now();
  stop.request_stop();
  return std::chrono::duration_cast<Duration>(sending.get() - asked);
}

}  // namespace

/// Takes the place of the C library's for this whole program.
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** found) {
  if (node != nullptr && std::strcmp(node, "hung.example") == 0) {
    std::unique_lock lock(hung_resolver.mutex);
    hung_resolver.asked = true;
    hung_resolver.changed.notify_all();
    hung_resolver.changed.wait(lock, [] { return hung_resolver.released; });
    hung_resolver.left = true;
    hung_resolver.changed.notify_all();
    return EAI_AGAIN;
  }
  static const auto real = reinterpret_cast<decltype(&::getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return real(node, service, hints, found);
}

TEST_CASE("a request says who asks, in English, and carries its body and content type") {
  Exchanges t;
  const std::string got = t.post("/request", "{}").body;
  CHECK(got.starts_with("POST /request HTTP/1.1\r\n"));
  CHECK(contains(got, "User-Agent: acme-agent/test\r\n"));
  CHECK(contains(got, "Accept-Language: en\r\n"));
  CHECK(contains(got, "Content-Type: application/jose+json\r\n"));
  CHECK_FALSE(contains(got, "Expect:"));
  CHECK_FALSE(contains(got, "Accept-Encoding:"));
  CHECK(got.ends_with("|{}"));
}

TEST_CASE("a body may hold any byte") {
  Exchanges t;
  const std::string body("a\0b\n", 4);
  CHECK(t.post("/request", body).body.ends_with("|" + body));
}

TEST_CASE("settings of one request do not leak into the next") {
  Exchanges t;
  t.post("/request", "{}");
  const std::string got = t.get("/request").body;
  CHECK(got.starts_with("GET "));
  CHECK_FALSE(contains(got, "Content-Type"));
  CHECK(got.ends_with("|"));
}

TEST_CASE("one connection serves all requests") {
  Exchanges t;
  for (int i = 0; i < 5; ++i) t.post("/request", "{}");
  CHECK(t.connections() == "1");
}

TEST_CASE("a kept connection that the server closed meanwhile is replaced without an error") {
  Exchanges t;
  SUBCASE("for a GET") {
    CHECK(t.get("/last").body == "bye");
    CHECK(t.get("/request").status == 200);
  }
  SUBCASE("for a POST") {
    CHECK(t.get("/last").body == "bye");
    CHECK(t.post("/request", "{}").body.ends_with("|{}"));
  }
  CHECK(t.connections() == "2");
}

TEST_CASE("any status is an answer") {
  Exchanges t;
  CHECK(t.get("/missing").status == 404);
  CHECK(t.get("/early").status == 503);
}

TEST_CASE("a redirect is an answer, too, and not followed") {
  Exchanges t;
  const Response response = t.get("/redirect");
  CHECK(response.status == 302);
  CHECK(response.header("location") == "/request");
}

TEST_CASE("header names are lower-case and repeated ones keep all values in their order") {
  Exchanges t;
  const Response response = t.get("/links");
  CHECK(response.header("link") == R"(<a>;rel="up")");
  const auto [first, last] = response.headers.equal_range("link");
  REQUIRE(std::distance(first, last) == 2);
  CHECK(std::next(first)->second == R"(<b>;rel="alternate")");
  CHECK(response.header("retry-after") == std::nullopt);
}

TEST_CASE("only the headers of the final response count") {
  Exchanges t;
  const Response response = t.get("/early");
  CHECK(response.headers.count("retry-after") == 1);
  CHECK(response.header("retry-after") == "2");
}

TEST_CASE("HEAD brings headers and waits for no body") {
  Exchanges t;
  const Response response =
      t.send({.method = Request::Method::head, .url = t.server.url("/head"), .body = "", .content_type = ""});
  CHECK(response.status == 200);
  CHECK(response.header("replay-nonce") == "abc");
  CHECK(response.body.empty());
  CHECK(t.connections() == "1");
}

TEST_CASE("a body of 1 MiB is taken, a longer one refused, with and without its length told") {
  Exchanges t;
  CHECK(t.get("/just-fits").body.size() == 1024 * 1024);
  for (const std::string path : {"/one-too-many", "/big"}) {
    const Error error = failure_of([&] { t.get(path); });
    CHECK(error.message() ==
          "the answer of " + t.server.place() + " is too large (a body may have 1 MiB, its headers 64 KiB)");
    CHECK(error.remedy() == Remedy::retry);
  }
  CHECK(t.get("/request").status == 200);
}

TEST_CASE("headers without an end are refused") {
  Exchanges t;
  CHECK(contains(failure_of([&] { t.get("/endless-headers"); }).message(), "too large"));
  CHECK(failure_of([&] { t.get("/endless-header"); }).remedy() == Remedy::retry);
}

TEST_CASE("an answer that breaks off is none") {
  Exchanges t;
  for (const std::string path : {"/truncated", "/nothing"}) {
    const Error error = failure_of([&] { t.get(path); });
    CHECK(error.message() == t.server.place() + " closed the connection before its answer was whole");
    CHECK(error.remedy() == Remedy::retry);
  }
}

TEST_CASE("a certificate from an unknown root is refused, and the error says how to trust it") {
  Server server;
  for (const std::optional<std::filesystem::path>& bundle : {std::optional(certificates() / "other.pem"), {}}) {
    CurlTransport transport({.user_agent = "", .ca_bundle = bundle});
    const Error error = failure_of([&] { transport.send(get(server.url("/request")), {}); });
    CHECK(error.message() == "the certificate of https://" + server.place() +
                                 " is not trusted (unable to get local issuer certificate): give its root with "
                                 "--ca-bundle");
    CHECK(error.remedy() == Remedy::ask_operator);
  }
}

TEST_CASE("a server is trusted by its root wherever it stands in a bundle") {
  Server server;
  test::TempDir folder;
  for (const std::vector<std::string>& names : {std::vector<std::string>{"other", "root"}, {"root", "other"}}) {
    std::ofstream bundle(folder / "bundle.pem");
    for (const std::string& name : names) bundle << std::ifstream(certificates() / (name + ".pem")).rdbuf();
    bundle.close();
    CurlTransport transport({.user_agent = "", .ca_bundle = folder / "bundle.pem"});
    CHECK(transport.send(get(server.url("/request")), {}).status == 200);
  }
}

TEST_CASE("a certificate in the bundle is trusted although its issuer is not there") {
  Server server;
  CurlTransport transport(trusting("localhost"));  // the leaf itself
  CHECK(transport.send(get(server.url("/request")), {}).status == 200);
}

TEST_CASE("a root is found although its name is written in another way than its certificates write it") {
  Server server("printable-leaf");
  test::TempDir folder;
  std::ofstream bundle(folder / "bundle.pem");
  for (const std::string name : {"printable-sibling.crt", "utf8.pem"})
    bundle << std::ifstream(certificates() / name).rdbuf();
  bundle.close();
  CurlTransport transport({.user_agent = "", .ca_bundle = folder / "bundle.pem"});
  CHECK(transport.send(get(server.url("/request")), {}).status == 200);
}

TEST_CASE("the bundle is for the server, not for a proxy with TLS") {
  Server server;
  const Server proxy;
  ::setenv("https_proxy", ("https://" + proxy.place()).c_str(), 1);
  CurlTransport transport(trusting("root"));
  const Error error = failure_of([&] { transport.send(get(server.url("/request")), {}); });
  ::unsetenv("https_proxy");
  CHECK(contains(error.message(), "unable to get local issuer certificate"));
}

TEST_CASE("a certificate for another host is refused") {
  Server server("elsewhere");
  CurlTransport transport(trusting("root"));
  const Error error = failure_of([&] { transport.send(get(server.url("/request")), {}); });
  CHECK(contains(error.message(), "is for another host"));
  CHECK(contains(error.message(), "'localhost'"));
  CHECK(error.remedy() == Remedy::ask_operator);
}

TEST_CASE("an expired certificate may be this machine's clock, so it is tried again") {
  Server server("expired");
  CurlTransport transport(trusting("root"));
  const Error error = failure_of([&] { transport.send(get(server.url("/request")), {}); });
  CHECK(contains(error.message(), "certificate has expired"));
  CHECK(contains(error.message(), "clock"));
  CHECK(error.remedy() == Remedy::retry);
}

TEST_CASE("what cannot be reached or does not speak TLS is named with its port") {
  CurlTransport transport(trusting("root"));
  SUBCASE("nobody listens") {
    const std::string place = Server().place();  // gone by the next line
    const Error error = failure_of([&] { transport.send(get("https://" + place + "/"), {}); });
    CHECK(error.message() == "cannot reach " + place + ": Connection refused");
    CHECK(error.remedy() == Remedy::retry);
  }
  SUBCASE("plain HTTP") {
    Server plain("localhost", "plain");
    const Error error = failure_of([&] { transport.send(get(plain.url("/request")), {}); });
    CHECK(contains(error.message(), "cannot speak TLS with " + plain.place()));
  }
}

TEST_CASE("an URL that is not https is refused before anything is sent") {
  Server plain("localhost", "plain");
  CurlTransport transport(trusting("root"));
  for (const std::string& url : {"http://" + plain.place() + "/connections", std::string("ftp://localhost/"),
                                 std::string("file:///etc/passwd"), std::string("gibberish://x/")}) {
    const Error error = failure_of([&] { transport.send(get(url), {}); });
    CHECK(error.message() == "cannot use " + url + ": the URL of an ACME server starts with https://");
    CHECK(error.remedy() == Remedy::ask_operator);
  }
}

TEST_CASE("what is no URL is an error for the operator, without control characters") {
  CurlTransport transport(trusting("root"));
  for (const std::string url :
       {"", "localhost", "https://", "https://local host/", "https://x:99999/", "https://x/\r\nY: z"}) {
    CAPTURE(url);
    const Error error = failure_of([&] { transport.send(get(url), {}); });
    CHECK(error.remedy() == Remedy::ask_operator);
    CHECK_FALSE(contains(error.message(), "\n"));
  }
}

TEST_CASE("a stop ends an exchange at once") {
  Exchanges t;
  SUBCASE("that stalls after its headers") {
    CHECK(time_to_stop(t.transport, get(t.server.url("/stall")), [&] {
            CurlTransport other(trusting("root"));
            other.send(get(t.server.url("/when-stalled")), {});
          }) < 100ms);
    CHECK(t.get("/request").status == 200);
  }
  SUBCASE("that waits for a name server that hangs") {
    CHECK(time_to_stop(t.transport, get("https://hung.example/"), [&] {
            std::unique_lock lock(hung_resolver.mutex);
            hung_resolver.changed.wait(lock, [] { return hung_resolver.asked; });
          }) < 100ms);
    std::unique_lock lock(hung_resolver.mutex);
    hung_resolver.released = true;
    hung_resolver.changed.notify_all();
    hung_resolver.changed.wait(lock, [] { return hung_resolver.left; });
  }
  SUBCASE("that has not begun") {
    std::stop_source stop;
    stop.request_stop();
    CHECK_THROWS_AS(t.transport.send(get(t.server.url("/request")), stop.get_token()), Stopped);
    CHECK(t.connections() == "1");
  }
}

TEST_CASE("a server that stalls costs no more than the time limit") {
  Server server;
  CurlTransport::Options options = trusting("root");
  options.timeout = 500ms;
  CurlTransport transport(options);
  const auto before = Steady::now();
  const Error error = failure_of([&] { transport.send(get(server.url("/stall")), {}); });
  const auto spent = Steady::now() - before;
  CHECK(error.message() == server.place() + " did not answer within 500 milliseconds");
  CHECK(error.remedy() == Remedy::retry);
  CHECK(spent >= 500ms);
  CHECK(spent < 2s);
}

TEST_CASE("the proxy of the environment is used and named where it cannot be reached") {
  Server server;
  const std::string gone = Server().place();
  ::setenv("https_proxy", ("http://" + gone).c_str(), 1);
  CurlTransport transport(trusting("root"));
  const Error error = failure_of([&] { transport.send(get(server.url("/request")), {}); });
  ::setenv("no_proxy", "localhost", 1);
  CHECK(transport.send(get(server.url("/request")), {}).status == 200);
  ::unsetenv("no_proxy");
  ::unsetenv("https_proxy");
  CHECK(contains(error.message(), "cannot reach " + server.place() + ": Connection refused ("));
  CHECK(contains(error.message(), gone.substr(gone.find(':') + 1)));
}

TEST_CASE("libcurl versions that harm the program are named") {
  CHECK(contains(curl_warning("8.11.1").value(), "CVE-2025-0665"));
  CHECK(contains(curl_warning("8.9.1").value(), "SIGPIPE"));
  CHECK(curl_warning("7.88.1") == std::nullopt);
  CHECK(curl_warning("8.11.10") == std::nullopt);
}
