#include <doctest/doctest.h>
#include <openssl/ssl.h>

#include <fstream>
#include <memory>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/free.hpp>
#include <acme_agent/crypto/root_bundle.hpp>

#include "support/temp_dir.hpp"
#include "support/test_ca.hpp"

namespace acme_agent {
namespace {

using namespace std::chrono_literals;

struct Folder {
  test::TempDir path;

  std::filesystem::path file(const std::string& name, const std::string& text) const {
    std::ofstream(path / name) << text;
    return path / name;
  }
};

std::string refusal(const std::filesystem::path& path) {
  try {
    const RootBundle refused(path);
  } catch (const Error& error) {
    CHECK(error.remedy() == Remedy::ask_operator);
    return error.message();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Shakes hands in memory: whether a client that trusts `bundle` accepts a server with this pair.
bool accepts(const RootBundle& bundle, const CertifiedKey& pair) {
  using Context = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
  using Connection = std::unique_ptr<SSL, Free<SSL_free>>;
  const Context server_context(SSL_CTX_new(TLS_server_method()));
  const Context client_context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_use_certificate(server_context.get(), pair.chain.leaf().handle());
  SSL_CTX_use_PrivateKey(server_context.get(), pair.key.handle());
  for (std::size_t i = 1; i < pair.chain.certificates().size(); ++i)
    SSL_CTX_add1_chain_cert(server_context.get(), pair.chain.certificates()[i].handle());
  SSL_CTX_set_verify(client_context.get(), SSL_VERIFY_PEER, nullptr);
  bundle.install_in(client_context.get());

  const Connection server(SSL_new(server_context.get()));
  const Connection client(SSL_new(client_context.get()));
  BIO* to_server = nullptr;
  BIO* to_client = nullptr;
  REQUIRE(BIO_new_bio_pair(&to_server, 0, &to_client, 0) == 1);
  SSL_set_bio(client.get(), to_server, to_server);
  SSL_set_bio(server.get(), to_client, to_client);
  SSL_set_connect_state(client.get());
  SSL_set_accept_state(server.get());
  for (int turns = 0; turns < 20 && SSL_is_init_finished(client.get()) == 0; ++turns) {
    SSL_do_handshake(client.get());
    SSL_do_handshake(server.get());
  }
  return SSL_is_init_finished(client.get()) == 1;
}

struct Authority {
  test::TestCa ca;
  PrivateKey key = PrivateKey::generate(KeyType::ec256);
  TimePoint now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());

  CertifiedKey pair() const {
    return {key, ca.issue(key, {{Identifier::Type::dns, "mydyn.example"}}, {now - 1h, now + 24h})};
  }
};

TEST_CASE("a bundle is a readable file with a certificate in PEM") {
  const Folder folder;
  CHECK(refusal(folder.path / "none") ==
        "cannot read the CA bundle " + (folder.path / "none").string() + ": No such file or directory");
  CHECK(contains(refusal(folder.path.path()), "is no file"));
  CHECK(contains(refusal(folder.file("empty", "")), "is empty"));
  CHECK(contains(refusal(folder.file("key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")),
                 "holds no certificate"));
  CHECK(contains(refusal(folder.file("void", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")),
                 "holds no certificate"));
  CHECK(contains(refusal(folder.file("open", "-----BEGIN CERTIFICATE-----\nAAAA\n")), "holds no certificate"));
  CHECK(contains(refusal(folder.file("rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
                 "holds no certificate"));
}

TEST_CASE("a chain is accepted if its root is anywhere in the bundle") {
  const Folder folder;
  const Authority ours;
  const Authority others[3];
  std::string text = "My roots\r\n";
  for (const Authority& other : others) text += other.ca.root_pem();
  CHECK_FALSE(accepts(RootBundle(folder.file("without", text)), ours.pair()));
  text += "and ours\n" + ours.ca.root_pem() + others[0].ca.root_pem() + "-----BEGIN CERTIFICATE-----\nAAAA";
  CHECK(accepts(RootBundle(folder.file("with", text)), ours.pair()));
}

TEST_CASE("a damaged certificate in a bundle does no harm to the others, and is not trusted itself") {
  const Folder folder;
  const Authority ours;
  const Authority other;
  std::string damaged = ours.ca.root_pem();
  damaged[damaged.size() / 2] = '!';
  CHECK_FALSE(accepts(RootBundle(folder.file("damaged", damaged + other.ca.root_pem())), ours.pair()));
  CHECK(accepts(RootBundle(folder.file("mended", damaged + other.ca.root_pem() + ours.ca.root_pem())), ours.pair()));
}

TEST_CASE("a root of the right name and another key is not trusted") {
  const Folder folder;
  const Authority ours;
  const Authority impostor;  // every TestCa has the same names
  CHECK(ours.ca.root().subject() == impostor.ca.root().subject());
  CHECK_FALSE(accepts(RootBundle(folder.file("impostor", impostor.ca.root_pem())), ours.pair()));
  CHECK(accepts(RootBundle(folder.file("both", impostor.ca.root_pem() + ours.ca.root_pem())), ours.pair()));
}

}  // namespace
}  // namespace acme_agent
