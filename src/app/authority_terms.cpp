#include "authority_terms.hpp"

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {
namespace {

Secret passphrase_in(const std::filesystem::path& file) {
  constexpr std::size_t longest = 4096;
  try {
    const std::optional<Secret> text = read_file(file, longest);
    if (!text) throw Error(Remedy::ask_operator, "there is no such file");
    Secret passphrase(text->reveal().substr(0, text->reveal().find_last_not_of("\r\n") + 1));
    if (passphrase.empty()) throw Error(Remedy::ask_operator, "it is empty");
    return passphrase;
  } catch (const Error& error) {
    throw Error(Remedy::ask_operator, "ca-passphrase-file " + printable(file.native()) + ": " + error.message());
  }
}

}  // namespace

AuthorityTerms authority_terms(const Configuration& configuration) {
  AuthorityTerms terms{configuration.ca_key_type, configuration.ca_name_constraints};
  if (configuration.ca_passphrase_file)
    terms.passphrase = [file = *configuration.ca_passphrase_file] { return passphrase_in(file); };
  return terms;
}

std::filesystem::path authority_in(const StateFolder& state) {
  return state.path() / "authority";
}

}  // namespace acme_agent
