#include <doctest/doctest.h>

#include <fstream>

#include <acme_agent/base/error.hpp>
#include <acme_agent/dns/tsig_key.hpp>

#include "support/temp_dir.hpp"

namespace acme_agent {
namespace {

const std::string generated =
    "# made today\nkey \"Acme-Key.\" {\n\talgorithm hmac-sha512;\n\tsecret \"c2VjcmV0/+8=\"; // ours\n};\n";

std::string refusal(const std::string& text) {
  try {
    parse_tsig_key(text);
    return "taken";
  } catch (const Error& error) {
    return error.message();
  }
}

TEST_CASE("what tsig-keygen writes is taken") {
  const TsigKey key = parse_tsig_key(generated);
  CHECK(key.name == "acme-key");
  CHECK(key.hash == Hash::sha512);
  CHECK(key.secret.reveal() == "secret\xff\xef");
}

TEST_CASE("what nsupdate takes in one line is taken") {
  const TsigKey key = parse_tsig_key("hmac-sha256:acme-key:c2VjcmV0\n");
  CHECK(key.name == "acme-key");
  CHECK(key.hash == Hash::sha256);
  CHECK(key.secret.reveal() == "secret");
}

TEST_CASE("what is no key is refused with what is wrong, and without the secret") {
  CHECK(refusal("") == "there is no key");
  CHECK(refusal("hmac-md5:acme-key:c2VjcmV0").find("'hmac-md5' is not hmac-sha256") != std::string::npos);
  CHECK(refusal("acme-key:c2VjcmV0").find("hmac-sha256:NAME:SECRET") != std::string::npos);
  CHECK(refusal("hmac-sha256:acme-key:not base64").find("neither") != std::string::npos);
  CHECK(refusal("hmac-sha256:acme-key:%%%%") == "the secret is not in base64");
  CHECK(refusal("key \"a\" { secret \"c2VjcmV0\"; };").find("is not of the form") != std::string::npos);
  CHECK(refusal("key \"a\" { algorithm hmac-sha256; secret \"c2VjcmV0\"; ").find("form") != std::string::npos);
  CHECK(refusal("key \"a\" { algorithm hmac-sha256; colour \"red\"; };").find("no 'colour'") != std::string::npos);
  CHECK(refusal(generated + generated) == "there is more than one key: leave the one to be used");
  CHECK(refusal("key \"a..b\" { algorithm hmac-sha256; secret \"c2VjcmV0\"; };").find("no name") != std::string::npos);
  CHECK(refusal("hmac-sha256:acme-key:c2VjcmV0!").find("c2Vj") == std::string::npos);
}

TEST_CASE("a file that has no key is named, with what is wrong with it") {
  const test::TempDir folder;
  const std::filesystem::path file = folder / "acme.key";
  std::ofstream(file) << generated;
  CHECK(read_tsig_key(file).name == "acme-key");
  std::ofstream(file) << "nonsense";
  CHECK_THROWS_WITH_AS(read_tsig_key(file),
                       ("cannot take a key from " + file.string() +
                        ": it is neither key \"NAME\" { algorithm hmac-sha256; secret \"…\"; }; nor "
                        "hmac-sha256:NAME:SECRET")
                           .c_str(),
                       Error);
  CHECK_THROWS_WITH_AS(read_tsig_key(folder / "none"),
                       ("cannot take a key from " + (folder / "none").string() + ": there is no such file").c_str(),
                       Error);
}

}  // namespace
}  // namespace acme_agent
