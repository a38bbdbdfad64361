#include <string.h>

#include <algorithm>
#include <optional>
#include <vector>

#include <acme_agent/base/base64url.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/dns/message.hpp>
#include <acme_agent/dns/tsig_key.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw Error(Remedy::ask_operator, what);
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower;
}

Hash parse_algorithm(std::string_view word) {
  std::string name = lower_case(word);
  if (name.ends_with('.')) name.pop_back();
  for (const Hash hash : {Hash::sha256, Hash::sha384, Hash::sha512})
    if (name == algorithm_name(hash)) return hash;
  refuse("the algorithm '" + printable(word, 40) + "' is not hmac-sha256, hmac-sha384 or hmac-sha512");
}

std::string parse_name(std::string_view word) {
  std::string name = lower_case(word);
  if (name.ends_with('.')) name.pop_back();
  if (name.empty()) refuse("the key has no name");
  write_dns_name(name);
  return name;
}

Secret parse_secret(std::string_view base64) {
  std::string text(base64);
  while (text.ends_with('=')) text.pop_back();
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  std::optional<std::string> bytes = base64url_decode(text);
  Secret secret(bytes ? *bytes : "");
  ::explicit_bzero(text.data(), text.size());
  if (bytes) ::explicit_bzero(bytes->data(), bytes->size());
  if (secret.empty()) refuse("the secret is not in base64");
  return secret;
}

/// The words of a file in BIND's manner: texts in quotes, `{`, `}` and `;` by themselves, comments left out.
std::vector<std::string_view> split_words(std::string_view text) {
  constexpr std::string_view special = "{};";
  constexpr std::string_view space = " \t\r\n";
  std::vector<std::string_view> words;
  const auto skip_to = [&text](std::string_view end) {
    const std::size_t at = text.find(end);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + end.size());
  };
  while (!text.empty()) {
    if (space.find(text.front()) != std::string_view::npos) {
      text.remove_prefix(1);
    } else if (text.front() == '#' || text.starts_with("//")) {
      skip_to("\n");
    } else if (text.starts_with("/*")) {
      skip_to("*/");
    } else if (special.find(text.front()) != std::string_view::npos) {
      words.push_back(text.substr(0, 1));
      text.remove_prefix(1);
    } else if (text.front() == '"') {
      text.remove_prefix(1);
      words.push_back(text.substr(0, text.find('"')));
      skip_to("\"");
    } else {
      words.push_back(text.substr(0, text.find_first_of(" \t\r\n{};\"")));
      text.remove_prefix(words.back().size());
    }
  }
  return words;
}

TsigKey parse_key_statement(const std::vector<std::string_view>& words) {
  constexpr const char* form = "the key is not of the form key \"NAME\" { algorithm hmac-sha256; secret \"…\"; };";
  if (words.size() < 3 || words[2] != "{") refuse(form);
  TsigKey key;
  key.name = parse_name(words[1]);
  bool algorithm_given = false;
  std::size_t at = 3;
  for (; at + 2 < words.size() && words[at] != "}"; at += 3) {
    if (words[at + 2] != ";") refuse(form);
    if (words[at] == "algorithm") {
      key.hash = parse_algorithm(words[at + 1]);
      algorithm_given = true;
    } else if (words[at] == "secret") {
      key.secret = parse_secret(words[at + 1]);
    } else {
      refuse("a key has an algorithm and a secret, and no '" + printable(words[at], 40) + "'");
    }
  }
  if (at >= words.size() || words[at] != "}" || !algorithm_given || key.secret.empty()) refuse(form);
  for (++at; at < words.size(); ++at)
    if (words[at] != ";") refuse("there is more than one key: leave the one to be used");
  return key;
}

}  // namespace

std::string algorithm_name(Hash hash) {
  switch (hash) {
    case Hash::sha256:
      return "hmac-sha256";
    case Hash::sha384:
      return "hmac-sha384";
    case Hash::sha512:
      return "hmac-sha512";
  }
  return {};
}

TsigKey parse_tsig_key(std::string_view text) {
  const std::vector<std::string_view> words = split_words(text);
  if (words.empty()) refuse("there is no key");
  if (words.front() == "key") return parse_key_statement(words);

  const std::string_view line = words.front();
  const std::size_t first = line.find(':');
  const std::size_t second = line.find(':', first + 1);
  if (words.size() != 1 || first == std::string_view::npos || second == std::string_view::npos)
    refuse("it is neither key \"NAME\" { algorithm hmac-sha256; secret \"…\"; }; nor hmac-sha256:NAME:SECRET");
  return {parse_name(line.substr(first + 1, second - first - 1)), parse_algorithm(line.substr(0, first)),
          parse_secret(line.substr(second + 1))};
}

TsigKey read_tsig_key(const std::filesystem::path& file) {
  const auto in_file = [&file](const std::string& what) {
    return Error(Remedy::ask_operator, "cannot take a key from " + file.string() + ": " + what);
  };
  const std::optional<Secret> text = read_file(file, 64 << 10);
  if (!text) throw in_file("there is no such file");
  try {
    return parse_tsig_key(text->reveal());
  } catch (const Error& error) {
    throw in_file(error.message());
  }
}

}  // namespace acme_agent
