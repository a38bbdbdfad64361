#include <doctest/doctest.h>

#include <acme_agent/base/key_type.hpp>

using namespace acme_agent;

TEST_CASE("every kind of key has a word that reads back") {
  CHECK(key_type_words() == std::vector<std::string>{"rsa2048", "rsa3072", "rsa4096", "ec256", "ec384"});
  for (const std::string& word : key_type_words()) CHECK(to_string(parse_key_type(word).value()) == word);
  for (const char* word : {"", "rsa", "RSA2048", "ec521", "unknown"}) CHECK_FALSE(parse_key_type(word));
}

TEST_CASE("RSA and elliptic keys are told apart") {
  CHECK(is_rsa(KeyType::rsa2048));
  CHECK(is_rsa(KeyType::rsa4096));
  CHECK_FALSE(is_rsa(KeyType::ec256));
  CHECK_FALSE(is_rsa(KeyType::ec384));
}
