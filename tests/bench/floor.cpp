// The least that an ACME client can do with OpenSSL alone: what the others are measured by. One connection that is
// kept, one request at a time, nonces chained, the key made beside the network. No checks, no errors worth the name,
// JSON by searching: a yardstick, not a client.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;

template <auto free_function>
struct Free {
  template <class T>
  void operator()(T* object) const noexcept {
    free_function(object);
  }
};
using Pkey = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Bn = std::unique_ptr<BIGNUM, Free<BN_free>>;
using File = std::unique_ptr<std::FILE, Free<std::fclose>>;

[[noreturn]] void die(std::string_view why) {
  std::fprintf(stderr, "floor: %.*s\n", static_cast<int>(why.size()), why.data());
  std::_Exit(1);
}

std::string base64url(std::string_view data) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  unsigned value = 0;
  unsigned bits = 0;
  for (const char c : data) {
    value = value << 8 | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 6;) text += digits[value >> (bits -= 6) & 63];
  }
  if (bits > 0) text += digits[value << (6 - bits) & 63];
  return text;
}

/// The first member of this name that is a string.
std::string json_text(const std::string& json, const std::string& name, std::size_t from = 0) {
  const std::size_t at = json.find('"' + name + "\":", from);
  if (at == std::string::npos) return {};
  const std::size_t begin = json.find('"', at + name.size() + 3) + 1;
  return json.substr(begin, json.find('"', begin) - begin);
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

struct Response {
  int status;
  std::string head;
  std::string body;

  std::string header(const std::string& name) const {
    const std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

class Connection {
 public:
  Connection(std::string host, std::uint16_t port, const std::string& ca)
      : authority_(host + ':' + std::to_string(port)) {
    const bool folder = std::filesystem::is_directory(ca);
    if (SSL_CTX_load_verify_locations(context_.get(), folder ? nullptr : ca.c_str(), folder ? ca.c_str() : nullptr) !=
        1) {
      die("no roots");
    }
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port);
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) die("no connection");
    const int yes = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), socket);
    SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host.data());
    SSL_set1_host(ssl_.get(), host.c_str());
    if (SSL_connect(ssl_.get()) != 1) die("no TLS");
  }

  const std::string& authority() const { return authority_; }

  Response request(const std::string& method, const std::string& path, const std::string& body = {}) {
    std::string text = method + ' ' + path + " HTTP/1.1\r\nHost: " + authority_ + "\r\nUser-Agent: floor\r\n";
    if (method == "POST") {
      text += "Content-Type: application/jose+json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    }
    text += "\r\n" + body;
    if (SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) <= 0) die("nobody listens any more");

    const std::string head = take(until("\r\n\r\n") + 4);
    Response response{std::stoi(head.substr(9)), head, {}};
    if (method == "HEAD" || response.status == 204) return response;
    if (const std::string length = response.header("Content-Length"); !length.empty()) {
      response.body = take(std::stoul(length));
      return response;
    }
    for (;;) {  // chunks
      const std::size_t size = std::stoul(take(until("\r\n") + 2), nullptr, 16);
      response.body += take(size + 2).substr(0, size);
      if (size == 0) return response;
    }
  }

 private:
  void receive() {
    std::array<char, 16384> data;
    const int count = SSL_read(ssl_.get(), data.data(), static_cast<int>(data.size()));
    if (count <= 0) die("the connection ended");
    received_.append(data.data(), static_cast<std::size_t>(count));
  }

  std::size_t until(std::string_view end) {
    for (;;) {
      const std::size_t at = received_.find(end);
      if (at != std::string::npos) return at;
      receive();
    }
  }

  std::string take(std::size_t count) {
    while (received_.size() < count) receive();
    std::string taken = received_.substr(0, count);
    received_.erase(0, count);
    return taken;
  }

  std::string authority_;
  std::string received_;
  std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>> context_{SSL_CTX_new(TLS_client_method())};
  std::unique_ptr<SSL, Free<SSL_free>> ssl_;
};

Pkey make_key(bool rsa) {
  return Pkey(rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"));
}

void save_key(const Pkey& key, const std::filesystem::path& path) {
  const File file(std::fopen(path.c_str(), "w"));
  PEM_write_PrivateKey(file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
}

Pkey account_key(const std::filesystem::path& path) {
  if (const File file{std::fopen(path.c_str(), "r")}) {
    return Pkey(PEM_read_PrivateKey(file.get(), nullptr, nullptr, nullptr));
  }
  Pkey key = make_key(false);
  save_key(key, path);
  return key;
}

std::string coordinate(const Pkey& key, const char* name) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(key.get(), name, &number);
  const Bn owned(number);
  std::string bytes(32, '\0');
  BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), 32);
  return base64url(bytes);
}

std::string es256(const Pkey& key, const std::string& text) {
  const std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  std::array<unsigned char, 80> der;
  std::size_t length = der.size();
  EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get());
  EVP_DigestSign(context.get(), der.data(), &length, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  const unsigned char* begin = der.data();
  const std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG_free>> signature(
      d2i_ECDSA_SIG(nullptr, &begin, static_cast<long>(length)));
  std::string bytes(64, '\0');
  auto* const out = reinterpret_cast<unsigned char*>(bytes.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out, 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out + 32, 32);
  return base64url(bytes);
}

class Account {
 public:
  Account(Connection& connection, Pkey key) : connection_(connection), key_(std::move(key)) {
    jwk_ = R"({"crv":"P-256","kty":"EC","x":")" + coordinate(key_, OSSL_PKEY_PARAM_EC_PUB_X) + R"(","y":")" +
           coordinate(key_, OSSL_PKEY_PARAM_EC_PUB_Y) + R"("})";
  }

  std::string thumbprint() const {
    std::string digest(32, '\0');
    EVP_Digest(jwk_.data(), jwk_.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr, EVP_sha256(),
               nullptr);
    return base64url(digest);
  }

  /// What lies in `kid_file`, or what the server answers.
  void sign_in(const std::string& directory, const std::filesystem::path& kid_file) {
    nonce_ = connection_.request("HEAD", path_of(json_text(directory, "newNonce"))).header("Replay-Nonce");
    kid_ = read_text(kid_file);
    if (!kid_.empty()) return;
    const Response answer = post(json_text(directory, "newAccount"), R"({"termsOfServiceAgreed":true})");
    std::ofstream(kid_file) << (kid_ = answer.header("Location"));
  }

  Response post(const std::string& url, const std::string& payload) {
    for (;;) {
      const std::string signer = kid_.empty() ? R"("jwk":)" + jwk_ : R"("kid":")" + kid_ + '"';
      const std::string header =
          base64url(R"({"alg":"ES256",)" + signer + R"(,"nonce":")" + nonce_ + R"(","url":")" + url + R"("})");
      const std::string body = base64url(payload);
      const std::string signature = es256(key_, header + '.' + body);
      Response response = connection_.request(
          "POST", path_of(url),
          R"({"protected":")" + header + R"(","payload":")" + body + R"(","signature":")" + signature + R"("})");
      nonce_ = response.header("Replay-Nonce");
      if (response.status < 400) return response;
      if (response.body.find("badNonce") == std::string::npos) die(response.body);
    }
  }

  Response poll(const std::string& url, std::string_view wanted) {
    for (auto pause = 1ms;; pause = std::min(2 * pause, 64ms)) {
      Response response = post(url, "");
      const std::string status = json_text(response.body, "status");
      if (status == wanted) return response;
      if (status == "invalid") die(response.body);
      std::this_thread::sleep_for(pause);
    }
  }

 private:
  std::string path_of(const std::string& url) const { return url.substr(url.find('/', 8)); }

  Connection& connection_;
  Pkey key_;
  std::string jwk_;
  std::string kid_;
  std::string nonce_;
};

/// Answers every token with its key authorization (RFC 8555 8.3), until the program ends.
void start_responder(std::uint16_t port, const std::string& thumbprint) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in address = loopback(port);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, SOMAXCONN) != 0) {
    die("the HTTP port is taken");
  }
  std::thread([listener, thumbprint] {
    for (;;) {
      const int peer = ::accept(listener, nullptr, nullptr);
      std::array<char, 4096> data;
      const ssize_t count = ::read(peer, data.data(), data.size());
      const std::string request(data.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
      const std::size_t end = request.find(" HTTP/");
      if (end != std::string::npos) {
        const std::size_t begin = request.rfind('/', end) + 1;
        const std::string body = request.substr(begin, end - begin) + '.' + thumbprint;
        const std::string answer =
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
            body;
        if (::write(peer, answer.data(), answer.size()) < 0) die("the server hung up");
      }
      ::close(peer);
    }
  }).detach();
}

void free_bytes(unsigned char* bytes) {
  OPENSSL_free(bytes);
}

/// Each name with these around it, in one text.
std::string join(const std::vector<std::string>& names, const std::string& before, const std::string& after) {
  std::string text;
  for (const std::string& name : names) text.append(text.empty() ? "" : ",").append(before).append(name).append(after);
  return text;
}

std::string signing_request(const Pkey& key, const std::vector<std::string>& names) {
  const std::unique_ptr<X509_REQ, Free<X509_REQ_free>> request(X509_REQ_new());
  X509_EXTENSION* const extension =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, join(names, "DNS:", "").c_str());
  STACK_OF(X509_EXTENSION)* const extensions = sk_X509_EXTENSION_new_null();
  sk_X509_EXTENSION_push(extensions, extension);
  X509_REQ_add_extensions(request.get(), extensions);
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  X509_REQ_set_pubkey(request.get(), key.get());
  X509_REQ_sign(request.get(), key.get(), EVP_sha256());
  unsigned char* der = nullptr;
  const int length = i2d_X509_REQ(request.get(), &der);
  const std::unique_ptr<unsigned char, Free<free_bytes>> owned(der);
  return {reinterpret_cast<const char*>(der), static_cast<std::size_t>(length)};
}

struct Wanted {
  std::vector<std::string> names;
  std::filesystem::path key_file;
  std::filesystem::path chain_file;
};

void order(Account& account, const std::string& directory, std::shared_future<Pkey> key, const Wanted& wanted) {
  const Response order =
      account.post(json_text(directory, "newOrder"),
                   R"({"identifiers":[)" + join(wanted.names, R"({"type":"dns","value":")", R"("})") + "]}");
  const std::string order_url = order.header("Location");
  if (json_text(order.body, "status") != "ready") {  // Pebble believes what it validated before, if rarely
    const std::size_t list = order.body.find('[', order.body.find("\"authorizations\""));
    const std::size_t end = order.body.find(']', list);
    for (std::size_t first = order.body.find("\"http", list); first < end;) {
      const std::size_t last = order.body.find('"', first + 1);
      const std::string authorization = account.post(order.body.substr(first + 1, last - first - 1), "").body;
      const std::size_t challenge = authorization.rfind('{', authorization.find("\"http-01\""));
      account.post(json_text(authorization, "url", challenge), "{}");
      first = order.body.find("\"http", last + 1);
    }
    account.poll(order_url, "ready");
  }
  const std::string request = base64url(signing_request(key.get(), wanted.names));
  account.post(json_text(order.body, "finalize"), R"({"csr":")" + request + R"("})");
  const Response done = account.poll(order_url, "valid");
  const std::string chain = account.post(json_text(done.body, "certificate"), "").body;
  save_key(key.get(), wanted.key_file);
  std::ofstream(wanted.chain_file) << chain;
}

/// One after the other, over one connection; each key is made while the order before it is under way.
void obtain(const std::string& directory_url, const std::string& ca, std::uint16_t http_port,
            const std::filesystem::path& state, bool rsa, const std::vector<Wanted>& all) {
  std::shared_future<Pkey> key = std::async(std::launch::async, make_key, rsa);
  const std::size_t colon = directory_url.find(':', 8);  // https://HOST:PORT/PATH
  const std::size_t slash = directory_url.find('/', colon);
  const int port = std::stoi(directory_url.substr(colon + 1));
  Pkey signer = account_key(state / "account.pem");
  Connection connection(directory_url.substr(8, colon - 8), static_cast<std::uint16_t>(port), ca);
  Account account(connection, std::move(signer));
  start_responder(http_port, account.thumbprint());
  const std::string directory = connection.request("GET", directory_url.substr(slash)).body;
  account.sign_in(directory, state / "kid");
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::shared_future<Pkey> next =
        i + 1 < all.size() ? std::async(std::launch::async, make_key, rsa).share() : std::shared_future<Pkey>();
    order(account, directory, key, all[i]);
    key = next;
  }
}

/// A pass with nothing to do: the certificate is read, and ends in a month at the soonest.
void look(const std::filesystem::path& state) {
  const File file(std::fopen((state / "chain.pem").c_str(), "r"));
  if (!file) die("there is no certificate");
  const std::unique_ptr<X509, Free<X509_free>> leaf(PEM_read_X509(file.get(), nullptr, nullptr, nullptr));
  int days = 0;
  int seconds = 0;
  ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(leaf.get()));
  if (days < 30) die("the certificate is due");
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  if (words.size() >= 7 && (words[0] == "issue" || words[0] == "many")) {
    const std::filesystem::path state = words[4];
    std::vector<Wanted> all;
    if (words[0] == "issue")
      all.push_back({{words.begin() + 6, words.end()}, state / "key.pem", state / "chain.pem"});
    else
      for (std::size_t i = 6; i < words.size(); ++i)
        all.push_back({{words[i]}, state / (words[i] + ".key"), state / (words[i] + ".pem")});
    obtain(words[1], words[2], static_cast<std::uint16_t>(std::stoi(words[3])), state, words[5] == "rsa", all);
  } else if (words.size() == 2 && words[0] == "look") {
    look(words[1]);
  } else {
    std::fputs(
        "usage: floor issue DIRECTORY-URL CA-FILE|CA-FOLDER HTTP-PORT STATE ec|rsa NAME...\n"
        "       floor many DIRECTORY-URL CA-FILE|CA-FOLDER HTTP-PORT STATE ec|rsa NAME...\n       floor look STATE\n",
        stderr);
    return 2;
  }
  std::_Exit(0);  // the responder still waits for visitors
}
