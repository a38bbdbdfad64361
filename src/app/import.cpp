#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/agent/held_stays.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/certbot/installation.hpp>
#include <acme_agent/store/state.hpp>

#include "commands.hpp"
#include "wiring.hpp"

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(std::string message) {
  throw Error(Remedy::ask_operator, std::move(message));
}

std::string word_for(const std::string& directory_url) {
  for (const Server& server : named_servers())
    if (server.directory_url == directory_url) return server.name;
  return directory_url;
}

/// One account for each server: the first that is met. What is wrong with it does not keep a certificate from us: the
/// next order makes a new account.
class AccountImport {
 public:
  AccountImport(const CertbotFolder& folder, Accounts accounts) : folder_(folder), accounts_(std::move(accounts)) {}

  /// Its mail address, if one is known.
  std::string take(const CertbotLineage& lineage) {
    const auto [met, fresh] = met_.emplace(lineage.server, Met{lineage.account, ""});
    if (!fresh) {
      if (met->second.id != lineage.account)
        say(lineage, "another account of certbot's is taken already, which renews " + lineage.name + ", too");
      return met->second.contact;
    }
    try {
      met->second.contact = take_new(lineage);
    } catch (const Error& error) {
      complete_ = false;
      say(lineage, "the account of certbot's is not taken over, so that the next order makes one: " + error.message());
    }
    return met->second.contact;
  }

  bool complete() const { return complete_; }

 private:
  struct Met {
    std::string id;  ///< certbot's
    std::string contact;
  };

  std::string take_new(const CertbotLineage& lineage) {
    accounts_.refuse_newer(lineage.server);
    const CertbotAccount theirs = folder_.account(lineage.server, lineage.account);
    const std::optional<Account> ours = accounts_.load(lineage.server);
    const bool same = ours && ours->key.thumbprint() == theirs.key.thumbprint();
    if (ours && !same) {
      say(lineage, "the account that we have there stays; certbot's is left aside");
      return ours->contact;
    }
    if (same && !ours->url.empty()) {
      say(lineage, "the account is ours already: " + printable(ours->url));
      return ours->contact;
    }
    accounts_.set_damaged_key_aside(lineage.server);
    accounts_.save(lineage.server, {theirs.key, theirs.url, theirs.contact, theirs.since});
    say(lineage, "the account is taken over: " + printable(theirs.url));
    return theirs.contact;
  }

  static void say(const CertbotLineage& lineage, const std::string& what) {
    std::cerr << printable(word_for(lineage.server)) << ": " << what << "\n";
  }

  const CertbotFolder& folder_;
  Accounts accounts_;
  std::map<std::string, Met> met_;  ///< By directory URL.
  bool complete_ = true;
};

void take_pair(const CertbotLineage& lineage, const CertificateState& state) {
  state.refuse_newer();
  const std::string end = format_rfc3339(lineage.pair.chain.leaf().validity().not_after);
  const std::optional<Revocation> revoked = state.revocation();
  if (revoked && revoked->compromised_keys.contains(lineage.pair.key.thumbprint()))
    refuse("the key of certbot's certificate was revoked as compromised here, and is not used again");
  const Held theirs{lineage.pair, lineage.server, ""};
  const std::optional<Held> ours = state.held();
  if (ours && ours->pair.chain.leaf() == lineage.pair.chain.leaf()) {
    std::cerr << lineage.name << ": it is held already\n";
    return;
  }
  if (const auto why = ours ? why_held_stays(*ours, theirs, SystemClock().now()) : std::nullopt) {
    std::cerr << lineage.name << ": the certificate held stays, as certbot's " << *why << "\n";
    return;
  }
  state.hold(theirs);
  state.clear_pending();  // an order of ours would be for another key
  std::cerr << lineage.name << ": taken over, valid until " << end << "\n";
}

/// The section, as comments where the configuration has one of that name.
void print_section(const CertbotLineage& lineage, const std::string& email, const Configuration& configuration) {
  const Translation translation = translate(lineage);
  std::string before;
  for (const CertificateSettings& settings : configuration.certificates) {
    if (settings.name != lineage.name) continue;
    std::cerr << lineage.name << ": the configuration has it already (" << settings.place
              << "); what certbot has is printed as comments\n";
    before = "# ";
  }
  std::cout << before << "[" << lineage.name << "]\n";
  std::cout << before << "server = " << word_for(lineage.server) << "\n";
  if (!email.empty()) std::cout << before << "email = " << email << "\n";
  for (const std::string& line : translation.lines) std::cout << before << line << "\n";
  std::cout << "\n" << std::flush;
  std::string left;
  for (const std::string& one : translation.left) left += (left.empty() ? "" : "; ") + one;
  if (!left.empty()) std::cerr << lineage.name << ": not taken over: " << left << "\n";
}

void tell_what_is_left(const CertbotFolder& folder, const StateFolder& state, const fs::path& config) {
  std::vector<std::string> hooks;
  for (const fs::path& hook : folder.hooks()) hooks.push_back(hook.filename().native());
  const std::string dir = printable(folder.path().native());
  if (!hooks.empty())
    std::cerr << "not taken over: the hooks in " << dir << "/renewal-hooks (" << printable(join(hooks), 200)
              << "): 'reload = command:…' runs a program after each deployment\n";
  std::cerr << "Next:\n"
            << "  1. put the sections into " << config.native() << ", and look them over: acme-agent check\n"
            << "  2. let the broker read " << (state.path() / "live").native()
            << "/NAME/{fullchain,privkey}.pem, or set cert-dir\n"
            << "  3. stop certbot's renewal: systemctl disable --now certbot.timer, or move " << dir
            << "/renewal/NAME.conf away\n"
            << "  4. start the agent\n"
            << "Nothing in " << dir << " was changed: to go back, stop the agent and undo 2 and 3.\n";
}

}  // namespace

int import_from(const CommandLine& command_line, const Environment& environment) {
  const std::string& source = command_line.arguments.front();
  if (source != "certbot") refuse("'import " + printable(source, 80) + "' is not known: write import certbot DIR");
  const Configuration configuration = load_configuration(command_line, environment);
  const CertbotFolder folder(fs::absolute(command_line.arguments.back()).lexically_normal());
  const std::vector<std::string> names = folder.lineages();
  if (names.empty()) refuse("there is no certificate of certbot's in " + printable(folder.path().native()));
  const StateFolder state(configuration.state_dir);
  become_owner_of(state);
  const FileLock lock = lock_state(state, "stop it first, as it would not see what is imported");

  AccountImport accounts(folder, state.accounts());
  bool complete = true;
  bool any = false;
  for (const std::string& name : names) {
    try {
      const CertbotLineage lineage = folder.lineage(name);
      take_pair(lineage, state.certificate(name));
      print_section(lineage, accounts.take(lineage), configuration);
      any = true;
    } catch (const Error& error) {
      std::cerr << "acme-agent: " << printable(name, 253) << ": not taken over: " << error.message() << "\n";
      complete = false;
    }
  }
  if (any) tell_what_is_left(folder, state, command_line.config.value_or(environment.default_config));
  return complete && accounts.complete() ? exit_ok : exit_failed;
}

}  // namespace acme_agent
