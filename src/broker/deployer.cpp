#include <algorithm>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/deployer.hpp>
#include <acme_agent/broker/mosquitto_conf.hpp>
#include <acme_agent/sys/generations.hpp>
#include <acme_agent/sys/processes.hpp>

#include "pair_files.hpp"
#include "reader_group.hpp"

namespace acme_agent {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr Duration longest_look = 5s;
constexpr Duration longest_verdict = 2s;
constexpr Duration first_pause = 5ms;
constexpr Duration longest_pause = 250ms;
constexpr Duration placeholder_lifetime = 30 * 24h;
/// Names the generation that the broker was told about, and the processes that were told.
constexpr const char* told_file = "..told";
/// Names the addresses that showed a certificate before the reload of a deployment that has not ended yet.
constexpr const char* shown_file = "..shown";
/// Names the generation that the broker was restarted for.
constexpr const char* restarted_file = "..restarted";

bool issued_by_server(const Certificate& leaf) {
  return !leaf.placeholder() && !leaf.self_signed();
}

/// The name for SNI; a wildcard stands for any name that it covers, and an address has none (RFC 6066 3).
std::string server_name_of(const std::vector<Identifier>& identifiers) {
  if (identifiers.empty() || identifiers.front().type == Identifier::Type::ip) return {};
  const Identifier& first = identifiers.front();
  return first.wildcard() ? "mqtt" + first.value.substr(1) : first.value;
}

/// RSA and ECDSA keys live side by side in a broker, and others too: a reload replaces only one of its own kind.
std::string key_kind(const Certificate& certificate) {
  const std::optional<KeyType> type = certificate.key_type();
  if (!type) return "another kind of";
  return is_rsa(*type) ? "an RSA" : "an EC";
}

bool is_good(const CertifiedKey& pair, const std::vector<Identifier>& identifiers, TimePoint now) {
  if (!issued_by_server(pair.chain.leaf())) return false;
  try {
    check_issued(pair, identifiers, now);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// Let's Encrypt marks what its server for tests issues, so that nobody takes it for more.
bool of_tests(const CertifiedKey& pair) {
  return pair.chain.leaf().issuer().starts_with("(STAGING)");
}

/// Whether `lying` must not be replaced by `held`. Pairs of different authorities cannot be compared by their dates,
/// since each has its own lifetimes and sets them back differently: there, what the operator's server issued counts.
/// What we hold for other names, or past its end, never replaces a good one.
bool stays(const CertifiedKey& lying, const CertifiedKey& held, const std::vector<Identifier>& identifiers,
           TimePoint now) {
  if (!is_good(lying, identifiers, now)) return false;
  if (!is_good(held, identifiers, now)) return true;
  if (of_tests(held) && !of_tests(lying)) return true;
  const Validity ours = held.chain.leaf().validity();
  const Validity theirs = lying.chain.leaf().validity();
  return lying.chain.top() == held.chain.top() && ours.not_before < theirs.not_before &&
         ours.not_after < theirs.not_after;
}

std::string describe(const Process& process) {
  return printable(process.name) + " (pid " + std::to_string(process.pid) + ")";
}

/// What was seen at one endpoint.
struct Sight {
  Endpoint endpoint;
  std::vector<Look> looks;
  Verdict verdict;
};

using Sights = std::vector<Sight>;

bool listening(const Sights& sights) {
  return std::any_of(sights.begin(), sights.end(), [](const Sight& sight) { return sight.verdict.listening; });
}

std::string faults_in(const Sights& sights) {
  std::vector<std::string> faults;
  for (const Sight& sight : sights) {
    if (!sight.verdict.ok) faults.push_back(sight.endpoint.text() + ": " + sight.verdict.detail);
  }
  return join(faults);
}

std::string address_of(const Sight& sight, const Look& look) {
  return sight.endpoint.text() + " (" + look.address + ")";
}

/// The addresses that show a certificate.
std::set<std::string> shown_in(const Sights& sights) {
  std::set<std::string> addresses;
  for (const Sight& sight : sights)
    for (const Look& look : sight.looks)
      if (look.state == Look::State::shown) addresses.insert(address_of(sight, look));
  return addresses;
}

/// The first address that showed a certificate before and now ends the handshake without one.
std::optional<std::string> worsened(const std::set<std::string>& shown_before, const Sights& after) {
  for (const Sight& sight : after) {
    for (const Look& look : sight.looks) {
      if (look.client == TlsClient::standard && look.state == Look::State::no_tls &&
          shown_before.contains(address_of(sight, look))) {
        return address_of(sight, look) + " showed a certificate before the reload and shows none now: " + look.detail;
      }
    }
  }
  return std::nullopt;
}

/// The addresses of each endpoint: those where somebody listens; all where nobody does.
std::vector<Seen> seen_in(const Sights& sights, const CertificateChain& expected) {
  std::vector<Seen> seen;
  for (const Sight& sight : sights) {
    for (const Look& first : sight.looks) {
      if (first.client != TlsClient::standard) continue;
      std::vector<Look> of_address;
      for (const Look& look : sight.looks) {
        if (look.address == first.address) of_address.push_back(look);
      }
      const Verdict verdict = judge(of_address, expected);
      if (!verdict.listening && sight.verdict.listening) continue;
      seen.push_back({sight.endpoint.text(), first.address, verdict.ok, verdict.detail});
    }
  }
  return seen;
}

/// One deployment of one pair, from the first look to the last.
class Attempt {
 public:
  Attempt(const DeploymentTarget& target, const CertifiedKey& pair, Clock& clock, Log& log, const std::stop_token& stop,
          const std::string& stamp = "")
      : target_(target),
        pair_(pair),
        clock_(clock),
        log_(log),
        stop_(stop),
        folder_(target.folder),
        readers_(find_readers()),
        beside_(find_client_files()),
        stamp_(Deployer::stamp(target)),
        installed_((stamp_ == stamp && have_content(target.folder, beside_)) || is_installed()) {}

  bool installed() const { return installed_; }

  Deployment deploy(Effort effort) {
    try {
      return deploy_or_throw(effort);
    } catch (const Error& error) {
      return end(Deployment::State::failed, error.message(), {});
    }
  }

  /// For a placeholder: no proof is wanted, as no client trusts it and the real certificate comes soon.
  std::optional<Deployment> place() {
    if (installed_ && !why_unreadable_in(folder_.path())) return std::nullopt;
    const Sights before = look(pair_.chain);
    install();
    put_into_further_folders([](const FurtherFolder& further) { return further.empty(); });
    const bool leave_alone = serves_something_better(before) || needs_restart(before);
    const std::optional<Error> untold = leave_alone ? std::nullopt : reload();
    return end(Deployment::State::done, untold ? untold->message() : "", before);
  }

 private:
  Deployment deploy_or_throw(Effort effort) {
    const Sights before = look(pair_.chain);
    const bool in_place = installed_ && is_settled(before);
    const std::optional<std::string> mistake = in_place ? why_mistaken(before) : std::nullopt;
    const bool settled = in_place && !mistake;
    if (!settled && (!installed_ || why_unreadable_in(folder_.path()))) install();
    put_into_further_folders([&](const FurtherFolder& further) { return !further.holds(pair_); });
    if (settled && put_into_.empty()) return end(Deployment::State::done, "", before);
    // Where devices are told by a list of what is revoked, a reload reads everything anew, and the list cannot wait.
    if (const std::optional<std::string> why = needs_restart(before); why && !why_mistaken(before))
      return restart_if_it_is_time(*why, before);
    const bool tell_anyway = effort == Effort::force || effort == Effort::full;
    if (!tell_anyway && put_into_.empty() && !(effort == Effort::urge && ends_soon(before)) && was_told()) {
      told_before_ = true;
      return mistake ? end(Deployment::State::failed, *mistake, before) : not_served(before);
    }
    const std::set<std::string> shown_before = remember_shown(shown_in(before));
    const std::optional<Error> untold = reload();
    // Where nobody was told and nobody listens, waiting brings nothing: the broker may be waiting for us to get ready.
    const bool may_change = told_somebody_ || (!untold && listening(before));
    Sights after = may_change ? look_until_served(pair_.chain) : look(pair_.chain);
    if (told_somebody_ && !untold && open_stale_websockets(after) && !reload()) after = look_until_served(pair_.chain);
    if (!untold) remember_told();

    if (is_proven(after)) {
      if (const std::optional<std::string> why = why_mistaken_at_last(after))
        return end(Deployment::State::failed, untold ? untold->message() : *why, after);
      if (untold) log_.warning("the new certificate is served, but " + untold->message(), target_.name);
      return end(Deployment::State::done, "", after);
    }
    if (const std::optional<std::string> worse = worsened(shown_before, after)) return go_back(*worse, after);
    if (const std::optional<std::string> ended = ended_reader(after)) {
      return end(Deployment::State::waiting, *ended, after);
    }
    const bool nobody_there = !target_.probes.empty() && is_unprovable(after);
    const bool may_pass = untold && untold->remedy() == Remedy::retry;
    if (untold && !(nobody_there && may_pass)) {
      return end(may_pass ? Deployment::State::waiting : Deployment::State::failed, untold->message(), after);
    }
    if (is_unprovable(after)) return end(Deployment::State::done, "", after);
    return not_served(after);
  }

  /// Once for each generation: where that did not do it, doing it again would not either.
  Deployment restart_if_it_is_time(const std::string& why, const Sights& before) {
    const std::string generation = folder_.current().value_or("").filename();
    const auto left_to_operator = [&](const std::string& more) {
      return end(Deployment::State::restart_needed, why + more, before);
    };
    if (!target_.restart_window)
      return left_to_operator(
          ": restart the broker (for example systemctl restart mosquitto), or allow it with "
          "--restart-window");
    if (noted(restarted_file) == generation)
      return left_to_operator(": it was restarted for that already; are certfile and keyfile of the broker those in " +
                              target_.folder + "?");
    const TimePoint time = next_within(*target_.restart_window, clock_.now());
    if (time > clock_.now()) {
      result_.next = time;
      return left_to_operator("; it is restarted at " + format_rfc3339(time));
    }
    log_.warning(why + ": restarting the broker", target_.name);
    note(restarted_file, generation);
    try {
      for (const std::shared_ptr<Reloader>& reloader : target_.reloaders)
        if (reloader->restart(stop_)) told_somebody_ = true;
    } catch (const Error&) {
      note(restarted_file, "");
      throw;
    }
    restarted_ = true;
    const Sights after = look_until_served(pair_.chain);
    remember_told();
    return is_proven(after) ? end(Deployment::State::done, "", after) : not_served(after);
  }

  /// What is to lie beside the pair. Where that is not to be had it stays as it is: Mosquitto 2.1 ends when its crlfile
  /// is gone, and 2.0 lets in whoever was revoked.
  std::vector<GenerationFolder::File> find_client_files() {
    try {
      if (target_.clients) clients_ = target_.clients->files(clock_.now());
    } catch (const std::exception& error) {  // whatever it is, the certificate is deployed
      further_trouble_ = error.what();
    }
    if (clients_) return {{client_files[0], Secret(clients_->ca)}, {client_files[1], Secret(clients_->crl)}};
    std::vector<GenerationFolder::File> lying;
    if (const std::optional<fs::path> generation = folder_.current())
      for (const std::string& name : client_files)
        if (std::optional<Secret> content = read_file(*generation / name)) lying.push_back({name, *std::move(content)});
    return lying;
  }

  std::vector<GenerationFolder::File> files_for(const CertifiedKey& pair) const {
    std::vector<GenerationFolder::File> files = files_of(pair);
    files.insert(files.end(), beside_.begin(), beside_.end());
    return files;
  }

  /// Whether devices are told by their certificates as they should; nothing if so, or if no listener wants to see one.
  std::optional<std::string> why_mistaken(const Sights& sights) const {
    if (!clients_ || !clients_->proof) return std::nullopt;
    const Duration timeout = std::min(target_.probe_timeout, longest_verdict);
    for (const Sight& sight : sights)
      if (std::optional<std::string> why = why_clients_are_mistaken(
              sight.endpoint, sight.looks, *clients_->proof, server_name_of(target_.identifiers), timeout, stop_))
        return why;
    return std::nullopt;
  }

  /// The same when the broker has had its time to read the files.
  std::optional<std::string> why_mistaken_at_last(const Sights& sights) const {
    const Duration deadline = clock_.uptime() + target_.probe_timeout;
    for (;;) {
      std::optional<std::string> why = why_mistaken(sights);
      if (!why || clock_.uptime() >= deadline) return why;
      if (!clock_.sleep_for(longest_pause, stop_)) throw Stopped{};
    }
  }

  /// A broker that is down or silent may come back by itself; one that shows something else has been set up otherwise.
  Deployment not_served(const Sights& sights) {
    const bool shown =
        std::any_of(sights.begin(), sights.end(), [](const Sight& sight) { return sight.verdict.shown; });
    return end(shown ? Deployment::State::failed : Deployment::State::waiting, faults_in(sights) + advice(sights),
               sights);
  }

  std::vector<Process> find_readers() const {
    std::vector<Process> readers;
    for (const std::shared_ptr<Reloader>& reloader : target_.reloaders) {
      try {
        const std::vector<Process> targets = reloader->targets();
        readers.insert(readers.end(), targets.begin(), targets.end());
      } catch (const Error&) {  // reload() says the same, where it counts
      }
    }
    return readers;
  }

  Ownership choose_ownership() const {
    Ownership ownership = target_.ownership;
    if (!target_.owner_given && !ownership.gid) {
      ownership.gid = reader_group(readers_, mosquitto_group(), own_process());
    }
    return ownership;
  }

  Sight look_at_endpoint(const Endpoint& endpoint, const CertificateChain& expected) const {
    const Duration timeout = std::min(target_.probe_timeout, longest_look);
    Sight sight{endpoint, look_at(endpoint, server_name_of(target_.identifiers), timeout, stop_), {}};
    sight.verdict = judge(sight.looks, expected);
    return sight;
  }

  /// So that these listeners mind the next reload; whether there are any.
  bool open_stale_websockets(const Sights& sights) const {
    const Duration timeout = std::min(target_.probe_timeout, longest_look);
    bool any = false;
    for (const Sight& sight : sights)
      if (sight.verdict.shown && !sight.verdict.ok)
        any |= opens_websocket(sight.endpoint, server_name_of(target_.identifiers), timeout, stop_);
    return any;
  }

  Sights look(const CertificateChain& expected) const {
    Sights sights;
    for (const Endpoint& endpoint : target_.probes) sights.push_back(look_at_endpoint(endpoint, expected));
    return sights;
  }

  Sights look_until_served(const CertificateChain& expected) const {
    const Duration deadline = clock_.uptime() + target_.probe_timeout;
    if (!target_.probes.empty()) log_.progress("waiting for the broker to serve the new certificate", target_.name);
    Sights sights = look(expected);
    Duration pause = first_pause;
    while (!is_proven(sights) && !is_unprovable(sights)) {
      const Duration left = deadline - clock_.uptime();
      if (left <= 0ms) break;
      if (!clock_.sleep_for(std::min(pause, left), stop_)) throw Stopped{};
      pause = std::min(2 * pause, std::max(longest_pause, target_.probe_timeout / 40));
      for (Sight& sight : sights) {
        if (!sight.verdict.ok) sight = look_at_endpoint(sight.endpoint, expected);
      }
    }
    return sights;
  }

  bool is_proven(const Sights& sights) const {
    return !sights.empty() &&
           std::all_of(sights.begin(), sights.end(), [](const Sight& sight) { return sight.verdict.ok; });
  }

  /// No proof is wanted, or only where there is a broker, and there is none.
  bool is_unprovable(const Sights& sights) const {
    if (restarted_) return false;
    if (sights.empty()) return true;
    return may_be_without_proof(sights) && find_readers().empty();
  }

  bool may_be_without_proof(const Sights& sights) const { return target_.probe_is_default && !listening(sights); }

  /// As long as nothing was done.
  bool is_settled(const Sights& before) const {
    const bool unprovable = before.empty() || (may_be_without_proof(before) && readers_.empty());
    return is_proven(before) || (unprovable && told() == to_tell(readers_));
  }

  /// Generation and processes that a reload now would be about.
  std::string to_tell(const std::vector<Process>& readers) const {
    const std::optional<fs::path> current = folder_.current();
    std::string text = current ? current->filename().string() : "";
    for (const Process& reader : readers)
      text += " " + std::to_string(reader.pid) + ":" + std::to_string(reader.start_time);
    return text;
  }

  bool was_told() const { return told() == to_tell(find_readers()); }

  std::string told() const { return noted(told_file); }

  /// Where this is not possible, the broker is told once more, the next time.
  void remember_told() const {
    try {
      const std::string text = to_tell(find_readers());
      if (told() != text) note(told_file, text);
    } catch (const Error& error) {
      log_.warning(error.message(), target_.name);
    }
  }

  std::string noted(const char* file) const {
    const std::optional<Secret> text = read_file(folder_.path() / file);
    return text ? std::string(text->reveal()) : "";
  }

  void note(const char* file, const std::string& text) const {
    write_file(folder_.path() / file, text, {{}, {}, 0644}, Sync::none);
  }

  /// What showed a certificate before this reload, or before that of a deployment that was cut off, so that a crash
  /// between a reload and the look after it does not hide that the handshakes were better before.
  std::set<std::string> remember_shown(std::set<std::string> addresses) const {
    if (const std::optional<Secret> text = read_file(folder_.path() / shown_file))
      for (const std::string& address : split(text->reveal(), '\n'))
        if (!address.empty()) addresses.insert(address);
    std::string text;
    for (const std::string& address : addresses) text += address + "\n";
    try {
      if (!text.empty()) write_file(folder_.path() / shown_file, text, {{}, {}, 0644}, Sync::none);
    } catch (const Error&) {  // then it is known in this run only
    }
    return addresses;
  }

  void forget_shown() const {
    std::error_code none;
    fs::remove(folder_.path() / shown_file, none);
  }

  /// The files lie there as they would be written now.
  bool is_installed() const {
    Ownership wanted = target_.ownership;
    if (!target_.owner_given) wanted.gid.reset();  // a guess may differ from day to day
    return folder_.current() && lie_in(target_.folder, files_for(pair_), wanted);
  }

  void install() {
    const std::vector<GenerationFolder::File> files = files_for(pair_);
    const fs::path generation = folder_.prepare(files, choose_ownership());
    try {
      if (!have_content(generation, files)) {
        throw Error(Remedy::retry, "key and certificate written to " + generation.string() +
                                       " are not what is read again; is the disk sound?");
      }
      if (const std::optional<std::string> why = why_unreadable_in(generation)) {
        throw Error(Remedy::ask_operator,
                    *why + "; nothing was changed: give --owner USER:GROUP or --mode 0640, or let it enter the folder");
      }
    } catch (const Error&) {
      folder_.discard(generation);
      throw;
    }
    folder_.activate(generation);
    result_.switched = true;
  }

  /// One that cannot be written keeps none of the others from its files, least of all the broker.
  template <class Wanted>
  void put_into_further_folders(const Wanted& is_wanted) {
    for (const FurtherFolder& further : target_.further) {
      try {
        if (!is_wanted(further)) continue;
        further.put(pair_);
        put_into_.push_back(&further);
      } catch (const Error& error) {
        if (further_trouble_.empty()) further_trouble_ = error.message();
      }
    }
  }

  /// Why some process that will be told to reload could not read the files in `folder`.
  std::optional<std::string> why_unreadable_in(const fs::path& folder) const {
    for (const Process& reader : readers_) {
      for (const GenerationFolder::File& file : files_for(pair_)) {
        if (const std::optional<std::string> why = why_unreadable(reader, folder / file.name, target_.folder)) {
          return describe(reader) + " cannot read " + (folder_.path() / file.name).string() + ": " + *why;
        }
      }
    }
    return std::nullopt;
  }

  /// What to do where a listener serves another kind of key than ours; nothing if none does.
  std::optional<std::string> needs_restart(const Sights& sights) const {
    const std::string ours = key_kind(pair_.chain.leaf());
    for (const Sight& sight : sights) {
      for (const Look& look : sight.looks) {
        if (look.state != Look::State::shown) continue;
        const std::string theirs = key_kind(look.peer.chain->leaf());
        if (theirs == ours) continue;
        return sight.endpoint.text() + " serves " + theirs + " key and ours is " + ours +
               " key, which a reload cannot swap";
      }
      if (target_.only_restarts && sight.verdict.shown && !sight.verdict.ok)
        return sight.endpoint.text() +
               " serves another certificate than ours, and this broker takes a new one only "
               "when it starts";
    }
    return std::nullopt;
  }

  /// Nothing is lost by a reload: what is served ends within a day, or nothing is.
  bool ends_soon(const Sights& sights) const {
    for (const Sight& sight : sights) {
      for (const Look& look : sight.looks) {
        if (look.state == Look::State::no_tls && look.client == TlsClient::standard) return true;
        if (look.state != Look::State::shown) continue;
        if (look.peer.chain->leaf().validity().not_after < clock_.now() + 24h) return true;
      }
    }
    return false;
  }

  bool serves_something_better(const Sights& sights) const {
    for (const Sight& sight : sights) {
      for (const Look& look : sight.looks) {
        if (look.state != Look::State::shown) continue;
        const Certificate& leaf = look.peer.chain->leaf();
        if (!leaf.placeholder() && leaf.validity().contains(clock_.now())) return true;
      }
    }
    return false;
  }

  /// What a reload would do to the broker besides; nothing if we may not look.
  std::optional<Error> why_not_to_tell() const {
    for (const Process& reader : readers_) {
      try {
        const std::optional<MosquittoPlace> place = find_mosquitto(reader);
        if (!place) continue;
        const std::vector<ReloadHazard> hazards =
            find_reload_hazards(read_mosquitto_conf(place->conf, place->root), place->root, reader);
        if (hazards.empty()) continue;
        return Error(Remedy::ask_operator, describe(reader) + " was not told to reload: " + hazards.front().evidence +
                                               "; " + hazards.front().remedy);
      } catch (const Error&) {
      }
    }
    return std::nullopt;
  }

  /// Tells all, also after a failure; returns the first one.
  std::optional<Error> reload() {
    if (target_.only_restarts) return std::nullopt;
    if (std::optional<Error> hazard = why_not_to_tell()) return hazard;
    Deployed deployed{target_.name, {}, target_.folder};
    for (const Identifier& identifier : target_.identifiers) deployed.domains.push_back(identifier.value);
    std::optional<Error> failure;
    for (const std::shared_ptr<Reloader>& reloader : target_.reloaders) {
      try {
        if (reloader->reload(deployed, stop_)) told_somebody_ = true;
      } catch (const Error& error) {
        if (!failure) failure = error.while_doing("the reload by " + printable(reloader->describe(), 200) + " failed");
      }
    }
    result_.reloaded = told_somebody_ && !failure;
    return failure;
  }

  /// The broker was there before the reload and is not there any more.
  std::optional<std::string> ended_reader(const Sights& after) const {
    if (readers_.empty() || listening(after) || !find_readers().empty()) return std::nullopt;
    return describe(readers_.front()) + " ended on the reload, and the new files stay: its log says why";
  }

  std::string advice(const Sights& after) const {
    if (!listening(after) && readers_.empty()) return "; is the broker running?";
    if (!listening(after)) {
      return "; " + describe(readers_.front()) + " runs: has it a listener there with certfile " +
             (folder_.path() / "fullchain.pem").string() + " and keyfile " + (folder_.path() / "privkey.pem").string() +
             "?";
    }
    const bool shown = std::any_of(after.begin(), after.end(), [](const Sight& sight) { return sight.verdict.shown; });
    if (!shown) return "; is this the broker's port for TLS?";
    if (!result_.reloaded && !told_before_) return "; nobody was found who could be told to reload: set --reload";
    return "; are certfile and keyfile of the broker those in " + target_.folder + "?";
  }

  /// Puts the files before back, if they are worth it.
  Deployment go_back(const std::string& why, const Sights& seen) {
    const std::optional<fs::path> generation = folder_.previous();
    const std::optional<CertifiedKey> before = generation ? read_pair(*generation) : std::nullopt;
    if (!before || !issued_by_server(before->chain.leaf()) ||
        before->chain.leaf().validity().not_after < clock_.now()) {
      return end(Deployment::State::failed, why + "; there are no good files to go back to: the broker's log says why",
                 seen);
    }
    if (have_content(*generation, beside_))
      folder_.activate(*generation);
    else  // what tells devices by their certificates never goes back
      folder_.activate(folder_.prepare(files_for(*before), choose_ownership()));
    for (const FurtherFolder* further : put_into_) further->put_back();
    result_.rolled_back = true;
    const std::optional<Error> untold = reload();
    const Sights after = look_until_served(before->chain);
    std::string outcome = "; the files before were put back";
    if (is_proven(after)) outcome += " and are served";
    if (untold) outcome += ", but " + untold->message();
    return end(Deployment::State::failed, why + outcome + ": the broker's log says why", after);
  }

  Deployment end(Deployment::State state, std::string detail, const Sights& sights) {
    if (state == Deployment::State::done || told_somebody_) forget_shown();
    if (state == Deployment::State::done && !further_trouble_.empty()) {
      state = Deployment::State::failed;
      detail = further_trouble_;
    }
    result_.state = state;
    result_.detail = std::move(detail);
    result_.seen = seen_in(sights, pair_.chain);
    if (result_.switched) stamp_ = Deployer::stamp(target_);
    if ((installed_ || result_.switched) && !result_.rolled_back) result_.stamp = stamp_;
    return result_;
  }

  const DeploymentTarget& target_;
  const CertifiedKey& pair_;
  Clock& clock_;
  Log& log_;
  const std::stop_token& stop_;
  GenerationFolder folder_;
  const std::vector<Process> readers_;
  std::string further_trouble_;  ///< The first; empty: none.
  std::optional<ClientFiles> clients_;
  const std::vector<GenerationFolder::File> beside_;  ///< The pair.
  std::string stamp_;
  const bool installed_;  ///< When this began.
  bool told_somebody_ = false;
  bool told_before_ = false;
  bool restarted_ = false;
  std::vector<const FurtherFolder*> put_into_;
  Deployment result_;
};

Deployment failed(const Error& error) {
  Deployment deployment;
  deployment.state = Deployment::State::failed;
  deployment.detail = error.message();
  return deployment;
}

}  // namespace

Deployment Deployer::deploy(const DeploymentTarget& target, const CertifiedKey& held, Effort effort,
                            const std::stop_token& stop, const std::string& stamp) const {
  try {
    Attempt ours(target, held, clock_, log_, stop, stamp);
    const bool no_question = effort == Effort::force || ours.installed();
    const std::optional<CertifiedKey> lying = no_question ? std::nullopt : deployed(target);
    if (!lying || !stays(*lying, held, target.identifiers, clock_.now())) return ours.deploy(effort);
    if (effort == Effort::full)
      log_.warning("a better certificate than ours lies in " + target.folder + " (until " +
                       format_rfc3339(lying->chain.leaf().validity().not_after) +
                       ") and stays; take its files away if ours shall be deployed",
                   target.name);
    Deployment done = Attempt(target, *lying, clock_, log_, stop).deploy(effort);
    done.stamp.clear();
    return done;
  } catch (const Error& error) {
    return failed(error);
  }
}

std::optional<Deployment> Deployer::deploy_placeholder(const DeploymentTarget& target, const PrivateKey& key,
                                                       const std::stop_token& stop) const {
  try {
    const TimePoint now = clock_.now();
    const std::optional<CertifiedKey> lying = deployed(target);
    if (lying && !lying->chain.leaf().placeholder()) return std::nullopt;
    if (!lying && foreign_pair_lies_in(target.folder)) return std::nullopt;

    const bool usable = lying && lying->chain.leaf().has_public_key_of(key) &&
                        same_names(lying->chain.leaf().identifiers(), target.identifiers) &&
                        lying->chain.leaf().validity().contains(now);
    const CertifiedKey placeholder =
        usable ? *lying
               : CertifiedKey{key,
                              CertificateChain({make_placeholder(key, target.identifiers, now, placeholder_lifetime)})};
    return Attempt(target, placeholder, clock_, log_, stop).place();
  } catch (const Error& error) {
    return failed(error);
  }
}

std::optional<CertifiedKey> Deployer::deployed(const DeploymentTarget& target) {
  return read_pair(target.folder);
}

std::string Deployer::stamp(const DeploymentTarget& target) {
  const auto id = [](const auto& number) { return number ? std::to_string(*number) : std::string("-"); };
  std::string further;
  for (const FurtherFolder& one : target.further) further += one.stamp() + " ";
  std::vector<std::string> names = pair_files;
  names.insert(names.end(), client_files.begin(), client_files.end());
  return further + GenerationFolder(target.folder).stamp(names) + id(target.ownership.uid) + ":" +
         id(target.ownership.gid) + ":" + std::to_string(target.ownership.mode);
}

}  // namespace acme_agent
