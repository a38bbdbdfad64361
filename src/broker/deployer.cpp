#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/broker/deployer.hpp>
#include <acme_agent/broker/mosquitto_conf.hpp>
#include <acme_agent/sys/generations.hpp>
#include <acme_agent/sys/processes.hpp>

#include "installation.hpp"
#include "notes.hpp"
#include "pair_files.hpp"
#include "sights.hpp"

namespace acme_agent {
namespace {

using namespace std::chrono_literals;

constexpr Duration placeholder_lifetime = 30 * 24h;

bool issued_by_server(const Certificate& leaf) {
  return !leaf.placeholder() && !leaf.self_signed();
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

std::string names_of(const Certificate& leaf) {
  std::vector<std::string> names;
  for (const Identifier& identifier : leaf.identifiers()) names.push_back(identifier.value);
  return printable(join(names), 200);
}

/// In date and for other names alone: somebody may want both.
bool is_for_others(const CertifiedKey& lying, const std::vector<Identifier>& identifiers, TimePoint now) {
  const Certificate& leaf = lying.chain.leaf();
  if (!issued_by_server(leaf) || !leaf.validity().contains(now)) return false;
  return std::ranges::none_of(leaf.identifiers(), [&](const Identifier& name) {
    return std::ranges::find(identifiers, name) != identifiers.end();
  });
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
        viewer_(target, clock, log, stop),
        notes_(target.folder),
        readers_(find_readers()),
        files_(target, pair, readers_, clock.now(), stamp) {}

  bool installed() const { return files_.was_there(); }

  Deployment deploy(Effort effort) {
    try {
      return deploy_or_throw(effort);
    } catch (const Error& error) {
      return end(Deployment::State::failed, error.message(), {});
    }
  }

  /// For a placeholder: no proof is wanted, as no client trusts it and the real certificate comes soon.
  std::optional<Deployment> place() {
    if (installed() && !files_.why_unreadable()) return std::nullopt;
    const Sights before = viewer_.look(pair_.chain);
    install();
    files_.put_into_further_folders([](const FurtherFolder& further) { return further.empty(); });
    const bool leave_alone = serves_better_than_placeholder(before, clock_.now()) || why_restart(before);
    const std::optional<Error> untold = leave_alone ? std::nullopt : reload();
    return end(Deployment::State::done, untold ? untold->message() : "", before);
  }

 private:
  Deployment deploy_or_throw(Effort effort) {
    const Sights before = viewer_.look(pair_.chain);
    const bool in_place = installed() && is_settled(before);
    const std::optional<std::string> mistake = in_place ? why_mistaken(before) : std::nullopt;
    const bool settled = in_place && !mistake;
    if (!settled && (!installed() || files_.why_unreadable())) install();
    files_.put_into_further_folders([&](const FurtherFolder& further) { return !further.holds(pair_); });
    if (settled && !files_.put_into_any()) return end(Deployment::State::done, "", before);
    // Where devices are told by a list of what is revoked, a reload reads everything anew, and the list cannot wait.
    if (const std::optional<std::string> why = why_restart(before); why && !why_mistaken(before))
      return restart_if_it_is_time(*why, before);
    const bool tell_anyway = effort == Effort::force || effort == Effort::full || files_.put_into_any() ||
                             (effort == Effort::urge && ends_before(before, clock_.now() + 24h));
    if (!tell_anyway && was_told()) {
      told_before_ = true;
      return mistake ? end(Deployment::State::failed, *mistake, before) : not_served(before);
    }
    const std::set<std::string> shown_before = notes_.add_shown(shown_in(before));
    const std::optional<Error> untold = reload();
    // Where nobody was told and nobody listens, waiting brings nothing: the broker may be waiting for us to get ready.
    const bool may_change = told_somebody_ || (!untold && any_listening(before));
    Sights after = may_change ? look_until_served(pair_.chain) : viewer_.look(pair_.chain);
    if (told_somebody_ && !untold && viewer_.open_stale_websockets(after) && !reload())
      after = look_until_served(pair_.chain);
    if (!untold) remember_told();

    if (all_ok(after)) {
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

  void install() {
    files_.install();
    result_.switched = true;
  }

  /// Once for each generation: where that did not do it, doing it again would not either.
  Deployment restart_if_it_is_time(const std::string& why, const Sights& before) {
    const std::string generation = files_.generation();
    const auto left_to_operator = [&](const std::string& more) {
      return end(Deployment::State::restart_needed, why + more, before);
    };
    if (!target_.restart_window)
      return left_to_operator(
          ": restart the broker (for example systemctl restart mosquitto), or allow it with "
          "--restart-window");
    if (notes_.restarted_for() == generation)
      return left_to_operator(": it was restarted for that already; are certfile and keyfile of the broker those in " +
                              target_.folder + "?");
    const TimePoint time = next_within(*target_.restart_window, clock_.now());
    if (time > clock_.now()) {
      result_.next = time;
      return left_to_operator("; it is restarted at " + format_rfc3339(time));
    }
    log_.warning(why + ": restarting the broker", target_.name);
    notes_.write_restarted_for(generation);
    try {
      for (const std::shared_ptr<Reloader>& reloader : target_.reloaders)
        if (reloader->restart(stop_)) told_somebody_ = true;
    } catch (const Error&) {
      notes_.write_restarted_for("");
      throw;
    }
    restarted_ = true;
    const Sights after = look_until_served(pair_.chain);
    remember_told();
    return all_ok(after) ? end(Deployment::State::done, "", after) : not_served(after);
  }

  /// A broker that is down or silent may come back by itself; one that shows something else has been set up otherwise.
  Deployment not_served(const Sights& sights) {
    return end(any_shown(sights) ? Deployment::State::failed : Deployment::State::waiting,
               faults_in(sights) + advice(sights), sights);
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

  Sights look_until_served(const CertificateChain& expected) const {
    return viewer_.look_until(expected,
                              [this](const Sights& sights) { return all_ok(sights) || is_unprovable(sights); });
  }

  std::optional<std::string> why_mistaken(const Sights& sights) const {
    return files_.proof() ? viewer_.why_mistaken(sights, *files_.proof()) : std::nullopt;
  }

  std::optional<std::string> why_mistaken_at_last(const Sights& sights) const {
    return files_.proof() ? viewer_.why_mistaken_at_last(sights, *files_.proof()) : std::nullopt;
  }

  /// No proof is wanted, or only where there is a broker, and there is none.
  bool is_unprovable(const Sights& sights) const {
    if (restarted_) return false;
    return sights.empty() || (may_be_without_proof(sights) && find_readers().empty());
  }

  bool may_be_without_proof(const Sights& sights) const { return target_.probe_is_default && !any_listening(sights); }

  /// As long as nothing was done.
  bool is_settled(const Sights& before) const {
    const bool unprovable = before.empty() || (may_be_without_proof(before) && readers_.empty());
    return all_ok(before) || (unprovable && notes_.told() == to_tell(readers_));
  }

  /// Generation and processes that a reload now would be about.
  std::string to_tell(const std::vector<Process>& readers) const {
    std::string text = files_.generation();
    for (const Process& reader : readers)
      text += " " + std::to_string(reader.pid) + ":" + std::to_string(reader.start_time);
    return text;
  }

  bool was_told() const { return notes_.told() == to_tell(find_readers()); }

  /// Where this is not possible, the broker is told once more, the next time.
  void remember_told() const {
    try {
      const std::string text = to_tell(find_readers());
      if (notes_.told() != text) notes_.write_told(text);
    } catch (const Error& error) {
      log_.warning(error.message(), target_.name);
    }
  }

  /// Why the broker serves the pair only when it has been started anew; nothing if a reload does it.
  std::optional<std::string> why_restart(const Sights& sights) const {
    if (std::optional<std::string> why = other_kind_of_key_in(sights, pair_.chain.leaf())) return why;
    if (!target_.only_restarts) return std::nullopt;
    for (const Sight& sight : sights)
      if (sight.verdict.shown && !sight.verdict.ok)
        return sight.endpoint.text() +
               " serves another certificate than ours, and this broker takes a new one only "
               "when it starts";
    return std::nullopt;
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
    if (readers_.empty() || any_listening(after) || !find_readers().empty()) return std::nullopt;
    return describe(readers_.front()) + " ended on the reload, and the new files stay: its log says why";
  }

  std::string advice(const Sights& after) const {
    const auto file = [this](const char* name) { return (std::filesystem::path(target_.folder) / name).string(); };
    if (!any_listening(after) && readers_.empty()) return "; is the broker running?";
    if (!any_listening(after))
      return "; " + describe(readers_.front()) + " runs: has it a listener there with certfile " +
             file("fullchain.pem") + " and keyfile " + file("privkey.pem") + "?";
    if (!any_shown(after)) return "; is this the broker's port for TLS?";
    if (!result_.reloaded && !told_before_) return "; nobody was found who could be told to reload: set --reload";
    return "; are certfile and keyfile of the broker those in " + target_.folder + "?";
  }

  /// Puts the files before back, if they are worth it.
  Deployment go_back(const std::string& why, const Sights& seen) {
    const std::optional<CertifiedKey> before = files_.pair_before();
    if (!before || !issued_by_server(before->chain.leaf()) ||
        before->chain.leaf().validity().not_after < clock_.now()) {
      return end(Deployment::State::failed, why + "; there are no good files to go back to: the broker's log says why",
                 seen);
    }
    files_.put_back(*before);
    result_.rolled_back = true;
    const std::optional<Error> untold = reload();
    const Sights after = look_until_served(before->chain);
    std::string outcome = "; the files before were put back";
    if (all_ok(after)) outcome += " and are served";
    if (untold) outcome += ", but " + untold->message();
    return end(Deployment::State::failed, why + outcome + ": the broker's log says why", after);
  }

  Deployment end(Deployment::State state, std::string detail, const Sights& sights) {
    if (state == Deployment::State::done || told_somebody_) notes_.forget_shown();
    if (state == Deployment::State::done && !files_.trouble().empty()) {
      state = Deployment::State::failed;
      detail = files_.trouble();
    }
    result_.state = state;
    result_.detail = std::move(detail);
    result_.seen = seen_in(sights, pair_.chain);
    result_.stamp = files_.stamp();
    return result_;
  }

  const DeploymentTarget& target_;
  const CertifiedKey& pair_;
  Clock& clock_;
  Log& log_;
  const std::stop_token& stop_;
  const Viewer viewer_;
  const DeploymentNotes notes_;
  const std::vector<Process> readers_;
  Installation files_;
  bool told_somebody_ = false;
  bool told_before_ = false;
  bool restarted_ = false;
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
    if (lying && is_for_others(*lying, target.identifiers, clock_.now()))
      log_.warning("the certificate in " + target.folder + " was for " + names_of(lying->chain.leaf()) +
                       " and is replaced: where both are wanted, give each a --cert-dir of its own",
                   target.name);
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
