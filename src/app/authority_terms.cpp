#include "authority_terms.hpp"

#include <algorithm>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/private_key.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {
namespace {

Secret passphrase_in(const std::filesystem::path& file) {
  try {
    const std::optional<Secret> text = read_file(file);
    if (!text) throw Error(Remedy::ask_operator, "there is no such file");
    Secret passphrase(text->reveal().substr(0, text->reveal().find_last_not_of("\r\n") + 1));
    if (passphrase.empty()) throw Error(Remedy::ask_operator, "it is empty");
    if (passphrase.reveal().size() > longest_passphrase)
      throw Error(Remedy::ask_operator, "the passphrase in it is longer than " + std::to_string(longest_passphrase) +
                                            " bytes: take a shorter one");
    return passphrase;
  } catch (const Error& error) {
    throw Error(Remedy::ask_operator, "ca-passphrase-file " + printable(file.native()) + ": " + error.message());
  }
}

}  // namespace

AuthorityTerms authority_terms(const Configuration& configuration) {
  AuthorityTerms terms{configuration.ca_key_type.value_or(KeyType::rsa2048), configuration.ca_name_constraints};
  if (configuration.ca_passphrase_file)
    terms.passphrase = [file = *configuration.ca_passphrase_file] { return passphrase_in(file); };
  return terms;
}

std::filesystem::path authority_in(const StateFolder& state) {
  return state.path() / "authority";
}

std::string describe(const std::vector<NameConstraint>& constraints) {
  std::vector<std::string> words;
  for (const NameConstraint& constraint : constraints) words.push_back(to_string(constraint));
  return words.empty() ? "every name" : join(words) + " only";
}

std::optional<std::string> contradiction(const Configuration& configuration, const Authority& authority) {
  const std::vector<NameConstraint>& wanted = configuration.ca_name_constraints;
  const std::vector<NameConstraint>& kept = authority.name_constraints();
  std::vector<std::string> ignored;
  if (configuration.ca_key_type.value_or(authority.key_type()) != authority.key_type())
    ignored.emplace_back("ca-key-type");
  if (!wanted.empty() && !std::ranges::is_permutation(wanted, kept)) ignored.emplace_back("ca-name-constraint");
  if (ignored.empty()) return std::nullopt;
  const std::string folder = printable(authority_in(StateFolder(configuration.state_dir)).native());
  return join(ignored) + ": the authority in " + folder + " was made with keys of " +
         std::string(to_string(authority.key_type())) + " for " + describe(kept) +
         ", and stays so: leave this out, or move that folder away to make another";
}

}  // namespace acme_agent
