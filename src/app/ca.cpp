#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <nlohmann/json.hpp>

#include <acme_agent/authority/renewal_due.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/control/control_socket.hpp>
#include <acme_agent/crypto/tasmota.hpp>
#include <acme_agent/devices/device_terms.hpp>

#include "authority_terms.hpp"
#include "commands.hpp"
#include "device_kit.hpp"
#include "new_files.hpp"
#include "operators_files.hpp"
#include "revocation_reason.hpp"
#include "root_export.hpp"

namespace acme_agent {
namespace {

namespace fs = std::filesystem;

constexpr Duration a_day = std::chrono::hours(24);
constexpr Duration default_lifetime = 730 * a_day;

[[noreturn]] void refuse(const std::string& message) {
  throw Error(Remedy::ask_operator, message);
}

/// What every part of the command works with.
struct Desk {
  explicit Desk(const CommandLine& line, const Environment& environment)
      : command_line(line),
        configuration(load_configuration(line, environment)),
        state(configuration.state_dir),
        terms(authority_terms(configuration)) {
    if (const std::optional<std::string> warning = passphrase_exposed(configuration))
      std::cerr << "warning: " << *warning << "\n";
  }

  Authority authority() const {
    if (std::optional<Authority> found = Authority::open(authority_in(state), terms)) return *std::move(found);
    refuse("there is no authority in " + printable(authority_in(state).native()) +
           " yet: 'acme-agent ca init' makes it");
  }

  /// Makes it where there is none.
  Authority any_authority() const {
    become_owner_of(state);
    state.create();
    std::optional<Authority> found = Authority::open(authority_in(state), terms);
    if (found) return *std::move(found);
    if (now < std::chrono::sys_seconds(std::chrono::seconds(ACME_AGENT_BUILT)))
      throw Error(Remedy::retry, "the clock says " + format_rfc3339(now) +
                                     ", which is before this program was made: set it first, as an authority lasts "
                                     "for twenty years from now on");
    const Authority made = Authority::open_or_make(authority_in(state), terms, now);
    std::cerr << "an authority was made in " << authority_in(state).string()
              << ": whoever reads its keys can pose as your broker, so keep backups of it as you keep passwords\n";
    return made;
  }

  /// The second word and the third, empty if they are not there.
  std::string word(std::size_t index) const {
    return index < command_line.arguments.size() ? command_line.arguments[index] : "";
  }

  /// Where clients reach the broker, as far as the configuration says it: an address only where there is no name.
  std::optional<Identifier> broker() const {
    std::optional<Identifier> found;
    for (const CertificateSettings& settings : configuration.certificates)
      for (const Identifier& identifier : settings.identifiers) {
        if (identifier.type == Identifier::Type::dns && !identifier.wildcard()) return identifier;
        if (identifier.type == Identifier::Type::ip && !found) found = identifier;
      }
    return found;
  }

  /// Whether one of the broker's certificates may come from our authority, or from another.
  bool asks(bool local) const {
    return std::ranges::any_of(configuration.certificates, [local](const CertificateSettings& settings) {
      return std::ranges::any_of(settings.servers, [local](const Server& server) { return server.local() == local; });
    });
  }

  const CommandLine& command_line;
  Configuration configuration;
  StateFolder state;
  AuthorityTerms terms;
  TimePoint now = SystemClock().now();
};

/// Has the running agent look at each broker again, so that it knows what has changed. Nothing where none runs.
void tell_agent(const Desk& desk, const std::string& what) {
  for (const std::string& name : desk.state.names()) {
    const auto reply = ask_control(desk.state.control_socket(), nlohmann::json{{"renew", name}, {"look", true}}.dump());
    if (!reply) {
      std::cerr << what << " reaches the broker as soon as the agent runs\n";
      return;
    }
    const nlohmann::json answer = nlohmann::json::parse(*reply, nullptr, false);
    if (!answer.is_object() || !answer.contains("message") || !answer["message"].is_string()) continue;
    std::cerr << name << ": the agent was told of " << what << ": " << printable(answer["message"].get<std::string>())
              << "\n";
  }
}

int make(const Desk& desk) {
  const bool new_here = !Authority::open(authority_in(desk.state), desk.terms);
  const Authority authority = desk.any_authority();
  if (const std::optional<std::string> ignored = contradiction(desk.configuration, authority)) refuse(*ignored);
  authority.encrypt_keys();
  std::cout << "authority    " << authority_in(desk.state).string() << "\nkeys         "
            << to_string(authority.key_type()) << (authority.keys_encrypted() ? ", encrypted" : ", not encrypted")
            << "\ncertifies    " << describe(authority.name_constraints()) << "\n";
  for (const Certificate& root : authority.roots(desk.now))
    std::cout << "root         " << root.subject() << ", until " << format_rfc3339(root.validity().not_after)
              << "\n  SHA-256    " << root.fingerprint_sha256() << "\n";
  std::cout << "devices      " << authority.list().size() << " certificates ('acme-agent ca list')\n"
            << "Next: acme-agent --domain broker.lan --server local, and acme-agent ca export > root.pem\n";
  if (new_here) tell_agent(desk, "the authority for devices");
  return exit_ok;
}

Duration lifetime_of(const std::string& days) {
  if (days.empty()) return default_lifetime;
  int count = 0;
  const auto [end, error] = std::from_chars(days.data(), days.data() + days.size(), count);
  if (error != std::errc() || end != days.data() + days.size() || count < 1 || count * a_day > longest_device_lifetime)
    refuse("--days: '" + printable(days, 80) + "' is not a number from 1 to 3650");
  return count * a_day;
}

PublicKey key_in(const fs::path& csr) {
  try {
    const std::optional<Secret> text = read_file(csr);
    if (!text) refuse("there is no such file");
    return PublicKey::from_csr(text->reveal());
  } catch (const Error& error) {
    throw error.while_doing("--csr " + printable(csr.native()));
  }
}

/// What clients of the broker are to trust, in PEM; empty: what every system knows.
std::string roots_for_clients(const Desk& desk, const Authority& authority) {
  std::string pem;
  if (!desk.configuration.certificates.empty() && !desk.asks(true)) return pem;
  for (const Certificate& root : authority.roots(desk.now)) pem += root.pem();
  if (desk.asks(false)) pem += isrg_root_x1().pem();
  return pem;
}

/// To its folder, else to standard output.
void deliver(const DeviceKit& kit, const std::string& kind, const std::optional<NewFolder>& folder) {
  if (folder) {
    for (const DeviceKit::File& file : kit.files) folder->add(file.name, file.content.reveal());
    if (!kit.typed.empty()) folder->add(kind + ".txt", kit.typed.reveal());
    folder->hand_over();
    return;
  }
  std::cout << kit.typed.reveal() << std::flush;
  if (!std::cout) throw Error(Remedy::retry, "what the device needs cannot be written to standard output");
}

std::string state_of(const IssuedDevice& device, TimePoint now) {
  if (device.revoked) return "revoked";
  return device.validity.not_after < now ? "ended" : "valid";
}

void refuse_without_device(const std::string& name, const std::string& kind) {
  if (!name.empty() && !kind.empty()) return;
  std::vector<std::string> words = device_kit_words();
  const std::string last = words.back();
  words.pop_back();
  std::string all;
  for (const std::string& word : words) all += word + ", ";
  refuse(std::string(name.empty() ? "for which device" : "for which kind of device") + "? write ca issue " +
         (name.empty() ? "NAME" : printable(name, 80)) + " --for " +
         (kind.empty() ? "DEVICE, which is " + all.substr(0, all.size() - 2) + " or " + last : printable(kind, 80)));
}

/// A device that gets another certificate may be lost, or stolen: then the earlier one is not to open the broker.
void tell_of_earlier(const std::string& name, const std::vector<IssuedDevice>& devices, TimePoint now) {
  for (const IssuedDevice& device : devices)
    if (device.name == name && state_of(device, now) == "valid")
      std::cerr << name << ": the earlier one, serial " << device.serial << ", stays valid until "
                << format_rfc3339(device.validity.not_after) << "; 'acme-agent ca revoke " << device.serial
                << "' ends it\n";
}

int issue(const Desk& desk) {
  const std::string name = desk.word(1);
  const std::string& kind = desk.command_line.device;
  refuse_without_device(name, kind);
  const bool files = wants_files(kind);
  check_device_name(name);
  const Duration lifetime = lifetime_of(desk.command_line.days);
  std::optional<PrivateKey> own;
  if (!desk.command_line.device_csr) own = PrivateKey::generate(KeyType::ec256);
  const PublicKey key = own ? PublicKey(*own) : key_in(*desk.command_line.device_csr);
  if (kind == "tasmota" && key.key_type() != KeyType::ec256) refuse("Tasmota takes no key of its own but one of P-256");

  std::optional<NewFolder> folder;
  if (const std::string given = desk.word(2); files || !given.empty())
    folder.emplace(given.empty() ? name : given, desk.state.path());
  const Authority authority = desk.any_authority();
  if (!authority.name_constraints().empty() && (kind == "esphome" || kind == "shelly" || kind == "esp-idf"))
    std::cerr << "note: " << kind << " refuses a root with name constraints, which this authority has\n";
  const std::vector<IssuedDevice> before = authority.list();
  const std::string known = authority.devices_ca_pem(desk.now);
  const CertificateChain chain = authority.issue_device(key, name, kind, lifetime, desk.now);
  const std::string serial = chain.leaf().serial();
  DeviceKit kit;
  try {
    kit = make_kit(kind, {name, chain, own, roots_for_clients(desk, authority), desk.broker(),
                          folder ? folder->path() : fs::path()});
    deliver(kit, kind, folder);
  } catch (const Error& error) {
    throw Error(error.remedy(), error.message() + "; its certificate " + serial +
                                    " is on record: acme-agent ca revoke " + serial + ", then issue another");
  }

  std::cerr << name << ": serial " << serial << ", until " << format_rfc3339(chain.leaf().validity().not_after)
            << (folder ? "; all it needs is in " + printable(folder->path().native()) : "") << "\n"
            << kit.advice;
  tell_of_earlier(name, before, desk.now);
  if (before.empty() || authority.devices_ca_pem(desk.now) != known) tell_agent(desk, "the authority for devices");
  return exit_ok;
}

std::int64_t days_left(const IssuedDevice& device, TimePoint now) {
  return std::chrono::floor<std::chrono::days>(device.validity.not_after - now).count();
}

void print_json(const std::vector<IssuedDevice>& devices, TimePoint now) {
  const std::set<std::string> due = renewal_due(devices, now);
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const IssuedDevice& device : devices) {
    nlohmann::ordered_json entry = {{"name", device.name},
                                    {"kind", device.kind},
                                    {"serial", device.serial},
                                    {"state", state_of(device, now)},
                                    {"not_before", format_rfc3339(device.validity.not_before)},
                                    {"not_after", format_rfc3339(device.validity.not_after)},
                                    {"days_left", days_left(device, now)},
                                    {"renew_soon", due.contains(device.serial)},
                                    {"revoked", nullptr},
                                    {"reason", nullptr}};
    if (device.revoked) entry["revoked"] = format_rfc3339(*device.revoked);
    if (device.reason) entry["reason"] = reason_word(*device.reason);
    list.push_back(std::move(entry));
  }
  std::cout << nlohmann::ordered_json{{"devices", list}}.dump(2) << "\n";
}

int list(const Desk& desk) {
  std::vector<IssuedDevice> devices = desk.authority().list();
  std::ranges::stable_sort(devices, {}, [](const IssuedDevice& device) { return device.validity.not_after; });
  if (desk.command_line.json) {
    print_json(devices, desk.now);
    return exit_ok;
  }
  const std::set<std::string> due = renewal_due(devices, desk.now);
  std::size_t width = 0;
  for (const IssuedDevice& device : devices) width = std::max(width, device.name.size());
  for (const IssuedDevice& device : devices) {
    std::cout << device.name << std::string(width - device.name.size() + 2, ' ') << device.kind
              << std::string(11 - std::min<std::size_t>(10, device.kind.size()), ' ') << device.serial << "  "
              << format_rfc3339(device.validity.not_after) << "  " << state_of(device, desk.now);
    if (device.revoked) std::cout << " " << format_rfc3339(*device.revoked);
    if (device.revoked && device.reason) std::cout << " (" << reason_word(*device.reason) << ")";
    if (due.contains(device.serial))
      std::cout << ", ends in " << describe(device.validity.not_after - desk.now) << ": acme-agent ca issue "
                << device.name << " --for " << device.kind;
    std::cout << "\n";
  }
  if (devices.empty()) std::cout << "nothing was issued to devices yet\n";
  return exit_ok;
}

/// A name may have a successor in date, which nobody means who revokes the one before.
void refuse_several(const std::string& name, const std::vector<IssuedDevice>& devices, TimePoint now) {
  std::vector<std::string> serials;
  for (const IssuedDevice& device : devices)
    if (device.name == name && state_of(device, now) == "valid")
      serials.push_back(device.serial + " (until " + format_rfc3339(device.validity.not_after) + ")");
  if (serials.size() > 1)
    refuse("'" + name + "' has several certificates in date, " + join(serials) +
           ": give the serial number of one, or --force for all");
}

int revoke_device(const Desk& desk) {
  if (desk.word(1).empty()) refuse("whose certificate? write ca revoke NAME or SERIAL ('acme-agent ca list' has both)");
  const RevocationReason reason = reason_called(desk.command_line.reason);
  become_owner_of(desk.state);
  const Authority authority = desk.authority();
  desk.state.create();
  const std::vector<IssuedDevice> before = authority.list();
  if (!desk.command_line.force) refuse_several(desk.word(1), before, desk.now);
  for (const IssuedDevice& device : authority.revoke(desk.word(1), reason.code, desk.now)) {
    const bool already = std::ranges::find(before, device) != before.end();
    std::cout << device.name << ": "
              << (already ? "was revoked already at " + format_rfc3339(*device.revoked) : "revoked") << ", serial "
              << device.serial;
    if (!already) std::cout << " (" << reason.word << ")";
    std::cout << "\n";
  }
  tell_agent(desk, "the revocation");
  return exit_ok;
}

int export_headers(const Desk& desk, const std::vector<Certificate>& roots) {
  const TasmotaHeaders headers = tasmota_headers(roots.front());
  const fs::path folder = desk.word(1).empty() ? "." : desk.word(1);
  place_file(folder / "local_ca_data.h", headers.data, 0644);
  place_file(folder / "local_ca_descriptor.h", headers.descriptor, 0644);
  std::cerr
      << "local_ca_data.h and local_ca_descriptor.h are written: put them into Tasmota's folder tasmota/include,\n"
         "and #define INCLUDE_LOCAL_CERT into user_config_override.h (examples/tasmota shows it)\n";
  return exit_ok;
}

int export_root(const Desk& desk) {
  const std::vector<Certificate> roots = desk.authority().roots(desk.now);
  if (roots.empty())
    throw Error(Remedy::retry, "no root of the authority is valid at " + format_rfc3339(desk.now) +
                                   ", which is the "
                                   "time here: is the clock right?");
  if (desk.command_line.format == "tasmota") return export_headers(desk, roots);
  const std::string place = desk.word(1);
  const RootExport made = export_roots(desk.command_line.format, roots, desk.broker(), place);
  if (place.empty() && made.binary && ::isatty(STDOUT_FILENO) != 0)
    refuse("this is nothing for a terminal: give a FILE, like " + made.file.native());
  if (place.empty())
    std::cout << made.content << std::flush;
  else
    place_file(made.file, made.content, 0644);
  if (!std::cout) throw Error(Remedy::retry, "the root cannot be written to standard output");
  std::cerr << made.advice;
  return exit_ok;
}

/// What goes with some of the words only, and how many words follow.
void check_words(const CommandLine& line) {
  const std::string& action = line.arguments.front();
  const std::size_t most = action == "issue" ? 3 : action == "revoke" || action == "export" ? 2 : 1;
  if (line.arguments.size() > most)
    refuse("'" + printable(line.arguments[most], 80) + "' is one word too many for 'ca " + action + "'");
  const auto only_with = [&](bool given, const char* option, std::string_view word) {
    if (given && action != word) refuse(std::string(option) + " goes with 'ca " + std::string(word) + "' only");
  };
  only_with(!line.device.empty(), "--for", "issue");
  only_with(line.device_csr.has_value(), "--csr", "issue");
  only_with(!line.days.empty(), "--days", "issue");
  only_with(line.json, "--json", "list");
  only_with(!line.reason.empty(), "--reason", "revoke");
  only_with(line.force, "--force", "revoke");
  only_with(!line.format.empty(), "--format", "export");
}

}  // namespace

int ca(const CommandLine& command_line, const Environment& environment) {
  constexpr std::pair<std::string_view, int (*)(const Desk&)> actions[] = {
      {"init", make}, {"issue", issue}, {"list", list}, {"revoke", revoke_device}, {"export", export_root}};
  const std::string& action = command_line.arguments.front();
  const auto* const found = std::ranges::find(actions, action, [](const auto& known) { return known.first; });
  if (found == std::end(actions))
    refuse("'ca " + printable(action, 80) + "' is not known: write ca init, issue, list, revoke or export");
  check_words(command_line);
  ::signal(SIGPIPE, SIG_IGN);
  return found->second(Desk(command_line, environment));
}

}  // namespace acme_agent
