#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <acme_agent/acme/session.hpp>
#include <acme_agent/agent/key_rollover.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/store/state.hpp>

#include "commands.hpp"
#include "operators_files.hpp"
#include "terminal.hpp"
#include "wiring.hpp"

namespace acme_agent {
namespace {

const std::stop_token never;

/// A server in use, and what certificates of it are told.
struct Place {
  Server server;
  CertificateSettings settings;
};

/// One conversation with a server about our account there.
struct Conversation {
  Place place;
  Accounts accounts;
  SystemClock clock{};
  std::unique_ptr<Transport> transport = connect(place.settings);
  Directory directory = fetch_directory(*transport, clock, place.server.directory_url, never);
  KeyRollover keys{accounts, *transport, clock, directory};

  Session session_for(const Account& account) { return {*transport, clock, directory, account.key, account.url}; }

  /// Ours, with its URL. A key change that was cut off is settled first. Throws Error if the server knows none.
  Account settled() {
    Account account = keys.settle(stored(accounts, place.server), never);
    if (!account.url.empty()) return account;
    const std::optional<std::string> url = session_for(account).find_account(never);
    if (!url) throw Error(Remedy::retry, "the server does not know our account; the next order makes a new one");
    account.url = *url;
    return account;
  }

  static Account stored(const Accounts& accounts, const Server& server) {
    if (std::optional<Account> account = accounts.load(server.directory_url)) return *std::move(account);
    throw Error(Remedy::retry, "there is no account yet; the first order makes one");
  }
};

/// The servers of the configuration; without any certificate in it, those that we have accounts at, unless --server
/// names one.
std::vector<Place> servers_in_use(const Configuration& configuration, const CommandLine& command_line,
                                  const Accounts& accounts) {
  std::vector<Place> places;
  std::set<std::string> known;
  const auto add = [&](const Server& server, const CertificateSettings& settings) {
    if (!server.local() && known.insert(server.directory_url).second) places.push_back({server, settings});
  };
  for (const CertificateSettings& settings : configuration.certificates)
    for (const Server& server : settings.servers) add(server, settings);
  if (!places.empty()) return places;
  const bool named = std::any_of(command_line.options.begin(), command_line.options.end(),
                                 [](const auto& option) { return option.first == "server"; });
  if (!named)
    for (const std::string& url : accounts.servers()) add({url, url}, configuration.defaults);
  if (places.empty())
    for (const Server& server : configuration.defaults.servers) add(server, configuration.defaults);
  return places;
}

std::string_view word(Status status) {
  return status == Status::valid ? "valid" : status == Status::deactivated ? "deactivated" : "revoked";
}

struct Shown {
  Place place;
  Account account;
  std::optional<AccountInfo> info{};
  std::string error{};

  std::string status() const { return info ? std::string(word(info->status)) : "unknown"; }
  std::optional<TimePoint> since() const { return info && info->created ? info->created : account.since; }
  std::vector<std::string> contact() const {
    if (info) return info->contact;
    return account.contact.empty() ? std::vector<std::string>{} : std::vector{"mailto:" + account.contact};
  }
};

/// Changes nothing: another agent may be at work.
Shown look_at(const Place& place, const Accounts& accounts) {
  Shown shown{place, Conversation::stored(accounts, place.server)};
  try {
    Conversation talk{place, accounts};
    if (const auto next = accounts.next_key(place.server.directory_url)) {
      Account changed = shown.account;
      changed.key = *next;
      if (const auto url = talk.session_for(changed).find_account(never)) {
        changed.url = *url;
        shown.account = changed;
      }
    }
    Session session = talk.session_for(shown.account);
    if (shown.account.url.empty()) shown.account.url = session.find_account(never).value_or("");
    if (shown.account.url.empty())
      throw Error(Remedy::retry, "the server does not know our account; the next order makes a new one");
    shown.info = session.account(never);
  } catch (const ProblemError& refused) {
    shown.error = refused.message();
    if (refused.problem().type != "unauthorized") return shown;
    // RFC 8555 7.3.6: what may not even be looked at is deactivated.
    shown.info = AccountInfo{Status::deactivated, shown.contact(), std::nullopt};
    shown.error = '"' + printable(refused.problem().detail, 400) +
                  "\" (unauthorized); stop the agent and set it aside with 'acme-agent account deactivate': the next "
                  "order makes a new "
                  "one";
  } catch (const Error& error) {
    shown.error = error.message();
  }
  return shown;
}

void print(const Shown& shown) {
  const auto line = [](std::string_view label, const std::string& text) {
    std::cout << "  " << label << std::string(12 - label.size(), ' ') << text << "\n";
  };
  std::cout << shown.place.server.name << "  " << shown.status() << "\n";
  if (!shown.error.empty()) line("error", shown.error);
  if (shown.place.server.name != shown.place.server.directory_url) line("server", shown.place.server.directory_url);
  if (!shown.account.url.empty()) line("account", shown.account.url);
  line("contact", shown.contact().empty() ? "none" : join(shown.contact()));
  if (const std::optional<TimePoint> since = shown.since()) line("since", format_rfc3339(*since));
  line("thumbprint", shown.account.key.thumbprint());
}

nlohmann::json to_json(const Shown& shown) {
  const std::optional<TimePoint> since = shown.since();
  return {{"server", shown.place.server.name},
          {"directory", shown.place.server.directory_url},
          {"url", shown.account.url},
          {"status", shown.status()},
          {"contact", shown.contact()},
          {"since", since ? nlohmann::json(format_rfc3339(*since)) : nullptr},
          {"thumbprint", shown.account.key.thumbprint()},
          {"error", shown.error.empty() ? nlohmann::json() : nlohmann::json(shown.error)}};
}

int show(const std::vector<Place>& places, const Accounts& accounts, bool as_json) {
  int exit_code = exit_ok;
  nlohmann::json all{{"version", ACME_AGENT_VERSION}, {"accounts", nlohmann::json::array()}};
  for (const Place& place : places) {
    try {
      const Shown shown = look_at(place, accounts);
      if (!shown.info || shown.info->status != Status::valid) exit_code = exit_failed;
      if (as_json)
        all["accounts"].push_back(to_json(shown));
      else
        print(shown);
    } catch (const Error& error) {
      std::cerr << "acme-agent: " << place.server.name << ": " << error.message() << "\n";
      exit_code = exit_failed;
    }
  }
  if (as_json) std::cout << all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  return exit_code;
}

std::string update(Conversation& talk) {
  Account account = talk.settled();
  account.contact = talk.place.settings.email;
  talk.session_for(account).set_contact(account.contact, never);
  talk.accounts.save(talk.place.server.directory_url, account);
  return "the contact is " + account.contact + " now";
}

std::string roll_over(Conversation& talk) {
  const Account before = talk.settled();
  const std::string done = "the account has another key now";
  try {
    talk.keys.roll_over(before, never);
    return done;
  } catch (const Error& error) {
    try {
      if (talk.keys.settle(before, never).key.thumbprint() != before.key.thumbprint()) return done;
    } catch (const Error&) {
      throw Error(Remedy::retry,
                  "whether the account has another key is not known yet, and is found out with the next run: " +
                      error.message());
    }
    throw Error(Remedy::retry, "the account keeps its key: " + error.message());
  }
}

std::string deactivate(Conversation& talk, bool force) {
  const std::string& url = talk.place.server.directory_url;
  const Account stored = Conversation::stored(talk.accounts, talk.place.server);
  if (!force && ::isatty(STDIN_FILENO) == 0)
    throw Error(Remedy::ask_operator, "there is no terminal to ask on whether the account shall end: add --force");
  if (!force && !agreed("End the account " + (stored.url.empty() ? "" : stored.url + " ") +
                        "for good? The next order makes a new one."))
    throw Error(Remedy::retry, "left as it is");
  try {
    const Account account = talk.settled();
    talk.session_for(account).deactivate(never);
  } catch (const ProblemError& refused) {
    if (refused.problem().type != "unauthorized") throw;
    // RFC 8555 7.3.6: so is every request of an account that is deactivated already.
  }
  talk.accounts.set_aside(url);
  return "the account is deactivated; its key is kept as key.pem.deactivated";
}

void check_action(const std::string& action) {
  const std::vector<std::string> actions{"show", "update", "rollover", "deactivate"};
  if (std::find(actions.begin(), actions.end(), action) != actions.end()) return;
  const std::string meant = nearest(action, actions);
  throw Error(Remedy::ask_operator, "'account " + printable(action, 80) + "' is not one of " + join(actions) +
                                        (meant.empty() ? "" : ": did you mean '" + meant + "'?"));
}

}  // namespace

int account(const CommandLine& command_line, const Environment& environment) {
  const std::string& action = command_line.arguments.front();
  check_action(action);
  const Configuration configuration = load_configuration(command_line, environment);
  check_machine(configuration);
  ::signal(SIGPIPE, SIG_IGN);
  const StateFolder state(configuration.state_dir);
  become_owner_of(state);
  const std::vector<Place> places = servers_in_use(configuration, command_line, state.accounts());
  if (action == "show") return show(places, state.accounts(), command_line.json);

  if (action == "deactivate" && places.size() > 1)
    throw Error(Remedy::ask_operator, "there are several servers in use: choose one of their accounts with --server");
  if (action == "update" &&
      std::any_of(places.begin(), places.end(), [](const Place& place) { return place.settings.email.empty(); }))
    throw Error(Remedy::ask_operator, "there is no contact to tell: give --email ADDRESS");
  const FileLock lock = lock_state(state, "stop it first, as it uses the account that is to be changed");
  int exit_code = exit_ok;
  for (const Place& place : places) {
    try {
      Conversation::stored(state.accounts(), place.server);
      Conversation talk{place, state.accounts()};
      const std::string done = action == "update"     ? update(talk)
                               : action == "rollover" ? roll_over(talk)
                                                      : deactivate(talk, command_line.force);
      std::cout << place.server.name << ": " << done << "\n";
    } catch (const Error& error) {
      std::cerr << "acme-agent: " << place.server.name << ": " << error.message() << "\n";
      exit_code = std::max(
          exit_code, error.remedy() == Remedy::ask_operator && dynamic_cast<const ProblemError*>(&error) == nullptr
                         ? exit_usage
                         : exit_failed);
    }
  }
  return exit_code;
}

}  // namespace acme_agent
