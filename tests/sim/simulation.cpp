#include "simulation.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include <acme_agent/acme/renewal_info.hpp>
#include <acme_agent/agent/agenda.hpp>
#include <acme_agent/agent/renewer.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/local_server.hpp>

#include "broker.hpp"
#include "household.hpp"
#include "own_authority.hpp"
#include "seams.hpp"
#include "support/fake_ca.hpp"
#include "support/quiet_log.hpp"
#include "support/shown_answers.hpp"
#include "world.hpp"

namespace acme_agent::sim {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* name = "mqtt.example.org";
constexpr Duration longest_nap = 15min;  // as the agent's own
constexpr Duration transfer_patience = 30s;

// What is promised, each with the patience that the promise itself has.
constexpr Duration served_within = 10min;
constexpr Duration looked_at_again_within = 25h;
constexpr Duration mended_within = 26h;
constexpr Duration advice_known_within = 26h;
constexpr Duration quiet_days = days(8);  // what earlier faults have set off is over
constexpr int most_passes_a_day = 12'000;
constexpr int most_requests_a_day = 2'000;
constexpr int most_passes_a_calm_day = 60;
constexpr int most_requests_a_calm_day = 150;

class AgentClock final : public Clock {
 public:
  explicit AgentClock(World& of) : world_(of) {}
  TimePoint now() const override { return world_.now() + world_.clock_offset(); }
  Duration uptime() const override { return world_.uptime(); }
  bool sleep_for(Duration duration, const std::stop_token&) override {
    world_.step();
    world_.pass(duration);
    world_.step();
    return true;
  }

 private:
  World& world_;
};

class ServerClock final : public Clock {
 public:
  explicit ServerClock(World& of) : world_(of) {}
  TimePoint now() const override { return world_.now(); }
  Duration uptime() const override { return world_.uptime(); }
  bool sleep_for(Duration duration, const std::stop_token&) override {
    world_.pass(duration);
    return true;
  }

 private:
  World& world_;
};

/// Shows answers as the real solver does; the agent may die in it.
class Answers final : public Solver {
 public:
  explicit Answers(World& of) : world_(of) {}
  std::string type() const override { return shown_.type(); }
  std::unique_ptr<Presentation> present(const ChallengeAnswer& answer, const std::stop_token& stop) override {
    world_.step();
    return shown_.present(answer, stop);
  }
  std::optional<std::string> visit(const std::string& token) { return shown_.visit(token); }

 private:
  World& world_;
  test::ShownAnswers shown_;
};

/// What is known of a certificate, from the server's side.
struct Fate {
  Validity validity;
  std::size_t server = 0;
  std::optional<TimePoint> earliest_advice{};  ///< Start of the earliest window that the agent was told.
  std::optional<TimePoint> latest_advice{};    ///< End of the latest one.
  std::optional<TimePoint> revoked{};
  bool held = false;
  bool expired = false;

  Duration share() const { return validity.lifetime() < days(10) ? validity.lifetime() / 2 : validity.lifetime() / 3; }
  /// The last moment to begin with the renewal.
  TimePoint due() const {
    const TimePoint by_lifetime = validity.not_after - share();
    return std::min(std::max(by_lifetime, latest_advice.value_or(by_lifetime)),
                    validity.not_after - validity.lifetime() / 10);
  }
  TimePoint earliest() const {
    const TimePoint by_lifetime = validity.not_after - share() - validity.lifetime() / 50;
    return std::min(by_lifetime, earliest_advice.value_or(by_lifetime));
  }
};

struct Server {
  std::unique_ptr<test::FakeCa> ca;
  std::optional<TimePoint> busy_until;         ///< It has said so.
  std::string last_issued;                     ///< Fingerprint.
  std::shared_ptr<const AcmeServer> as_known;  ///< By the agent.
};

class Simulation {
 public:
  Simulation(std::uint64_t seed, const Life& life);
  ~Simulation();

  Result run();

 private:
  class Wire;

  void add_server(const std::string& base, const std::string& title);
  void add_own_authority(std::uint64_t seed);
  void on_event(Event event);
  void on_fault(Fault fault, bool begins);
  void break_advice(bool broken, double how);
  void issued(std::size_t server, const Certificate& leaf);
  void issued_here(const CertificateChain& chain, TimePoint by_clock);
  void judge_if_early();
  void told(const std::string& url, const Response& response);
  void ordered();

  void start_agent();
  void bury_agent();
  void work(const Wish& wish);
  void look_after_broker();
  void notice_held();
  void notice_attempt();

  void judge();
  void judge_served(const Broker::Shown& shown);
  void judge_held();
  void judge_day();
  void condemn(const std::string& why) {
    if (!result_.verdict.empty()) return;
    result_.verdict = "at " + format_rfc3339(world_.now()) + ": " + why + " (faults: " + world_.faults_now() + ")";
  }

  World world_;
  AgentClock clock_{world_};
  ServerClock server_clock_{world_};
  fs::path folder_;
  StateFolder state_;
  Log log_;
  std::vector<Server> servers_;
  Broker broker_;
  std::shared_ptr<Answers> answers_ = std::make_shared<Answers>(world_);
  Managed managed_;
  std::optional<Renewer> renewer_;
  std::optional<Agenda> agenda_;
  TimePoint latest_;  ///< By the agent's clock, as its loop keeps it.
  std::optional<Household> household_;
  std::string issuers_here_;  ///< What came last with a certificate of our own authority.
  bool forced_ = false;       ///< The owner has told the agent to replace that, and it has not yet.

  Result result_;
  std::map<std::string, Fate> fates_;           ///< By fingerprint.
  std::map<std::string, std::string> by_name_;  ///< Fingerprints by the name for renewals.
  std::string held_;                            ///< Fingerprint.
  bool held_is_rsa_ = false;
  std::string held_stamp_;
  TimePoint held_since_;
  bool ever_served_ = false;
  std::optional<TimePoint> broker_restart_at_;
  std::optional<TimePoint> torn_since_;
  bool torn_by_clock_ = false;
  TimePoint shown_until_{};  ///< When what was served last ends.
  Duration lifetime_later_{0};
  Duration offset_at_start_{0};  ///< Of the clock, when the pass began.
  TimePoint key_changed_;

  std::optional<TimePoint> last_attempt_;  ///< By the record, if what came before is known.
  TimePoint failed_at_;
  int failures_ = 0;
  bool told_to_wait_ = false;

  std::chrono::sys_days today_;
  int passes_today_ = 0;
  int requests_today_ = 0;
  bool eventful_ = false;  ///< This pass may have changed more than what is advised.
};

/// The network between agent and server.
class Simulation::Wire final : public Transport {
 public:
  Wire(Simulation& of, std::size_t server) : sim_(of), server_(server), inner_(of.servers_[server].ca->connect()) {}

  Response send(const Request& request, const std::stop_token& stop) override {
    World& world = sim_.world_;
    Server& server = sim_.servers_[server_];
    ++sim_.result_.requests;
    ++sim_.requests_today_;
    const bool of_order = request.method == Request::Method::post;
    if (of_order && server.busy_until && world.now() + 2s < *server.busy_until &&
        world.memory_for() > *server.busy_until - world.now() + days(2))
      sim_.condemn("the server was asked again though it had named " + format_rfc3339(*server.busy_until));
    if (of_order || !world.calm()) sim_.eventful_ = true;
    if (of_order && request.url.ends_with("/new-order")) sim_.ordered();
    world.step();
    if (world.is_on(Fault::answers_slow)) {
      const Duration wait = world.dice().around(1s, 60s);
      world.pass(std::min(wait, transfer_patience));
      world.step();
      if (wait > transfer_patience) throw Error(Remedy::retry, "no answer within 30 seconds");
    }
    if (world.is_on(Fault::ca_away) && (server_ == 0 || world.strength(Fault::ca_away) < 0.3))
      throw Error(Remedy::retry, "cannot connect to the server: connection refused");
    if (world.is_on(Fault::ca_errors) && world.dice().chance(0.2 + 0.8 * world.strength(Fault::ca_errors)))
      return error(request);
    const bool of_advice = request.url.find("/renewal-info/") != std::string::npos;
    const double broken = world.is_on(Fault::advice_broken) ? world.strength(Fault::advice_broken) : 0;
    if (of_advice && broken > 0.7 && broken < 0.8) return {500, {}, ""};
    Response response = inner_->send(request, stop);
    world.step();
    if (world.is_on(Fault::answers_lost) && world.dice().chance(0.1 + 0.9 * world.strength(Fault::answers_lost)))
      throw Error(Remedy::retry, "no answer: connection reset");
    if (of_advice && broken >= 0.9) response.body = R"({"suggestedWindow":{"start":"soon","end":7}})";
    if (of_advice && response.status == 200 && broken < 0.9) sim_.told(request.url, response);
    if (server.ca->limits_met() > 0) sim_.condemn("a limit of the server was met: " + response.body);
    return response;
  }

 private:
  Response error(const Request& request) {
    World& world = sim_.world_;
    Response response{world.dice().chance(0.5) ? 500 : 503, {}, ""};
    if (world.dice().chance(0.5)) {
      response.headers.emplace("content-type", "application/problem+json");
      response.body = R"({"type":"urn:ietf:params:acme:error:serverInternal","detail":"down for maintenance"})";
    }
    if (!world.dice().chance(share_of_errors_with_retry_after)) return response;
    response.status = 503;
    const Duration wait = std::chrono::floor<std::chrono::seconds>(world.dice().around(1min, longest_retry_after));
    response.headers.emplace("retry-after", std::to_string(wait / 1s));
    world.begin_fault(Fault::server_busy, world.now() + wait);
    sim_.told_to_wait_ = true;
    if (request.method != Request::Method::get) sim_.servers_[server_].busy_until = world.now() + wait;
    return response;
  }

  Simulation& sim_;
  const std::size_t server_;
  const std::unique_ptr<Transport> inner_;
};

fs::path new_folder() {
  std::error_code none;
  const fs::path parent = fs::is_directory("/dev/shm", none) ? fs::path("/dev/shm") : fs::temp_directory_path();
  std::string pattern = (parent / "acme-agent-sim-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed for " + pattern);
  return pattern;
}

Simulation::Simulation(std::uint64_t seed, const Life& life)
    : world_(seed, life.length, life.trouble, !life.local),
      folder_(new_folder()),
      state_(folder_ / "state"),
      log_(life.verbose ? LogLevel::debug : LogLevel::error, LogFormat::text, clock_,
           life.verbose ? 2 : ::open("/dev/null", O_WRONLY | O_CLOEXEC)),
      broker_(world_, folder_ / "state" / "live" / name, life.local) {
  seed_random_bytes(seed);
  Dice& dice = world_.dice();
  if (!life.local) add_server("https://acme-v02.api.letsencrypt.org", "Let's Encrypt");
  if (!life.local && dice.chance(share_with_second_server)) add_server("https://second.example", "the second");
  int weight = 0;
  for (const Lifetime& each : lifetimes) weight += each.weight;
  const auto draw_lifetime = [&] {
    int left = dice.below(weight);
    for (const Lifetime& each : lifetimes)
      if ((left -= each.weight) < 0) return each.lifetime;
    return lifetimes.front().lifetime;
  };
  const Duration lifetime = draw_lifetime();
  if (dice.chance(share_with_lifetime_change)) lifetime_later_ = std::min(lifetime, draw_lifetime());
  const bool advises = !dice.chance(share_without_advice);
  const bool each_6_hours = dice.chance(share_with_advice_each_6_hours);
  for (Server& server : servers_) {
    server.ca->certificate_lifetime(lifetime);
    server.ca->offer_renewal_info(advises);
    server.ca->suggest_again_after(each_6_hours ? "21600" : "86400");
  }
  managed_.name = name;
  managed_.identifiers = {{Identifier::Type::dns, name}};
  for (const Server& server : servers_) managed_.servers.push_back(server.as_known);
  managed_.key_type = dice.chance(share_with_rsa) ? KeyType::rsa2048 : KeyType::ec256;
  managed_.reuse_key = !dice.chance(share_with_new_keys);
  managed_.target.name = name;
  managed_.target.identifiers = managed_.identifiers;
  managed_.target.folder = state_.live(name);
  managed_.target.probes = {{"127.0.0.1", 8883}};
  managed_.target.reloaders = {reload_by_hangup(world_, broker_)};
  managed_.solvers = {answers_};
  if (life.local) add_own_authority(seed);
  world_.on_event = [this](Event event) { on_event(event); };
  world_.on_fault = [this](Fault fault, bool begins) { on_fault(fault, begins); };
  listening_broker = &broker_;
  state_.create();
  fs::create_directories(managed_.target.folder);
}

Simulation::~Simulation() {
  listening_broker = nullptr;
  const Unlimited clean_up;
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void Simulation::add_server(const std::string& base, const std::string& title) {
  const std::size_t number = servers_.size();
  Server& server = servers_.emplace_back();
  server.ca = std::make_unique<test::FakeCa>(server_clock_, base);
  server.ca->enforce_limits();
  server.ca->forget_requests();
  server.ca->on_issue([this, number](const Certificate& leaf) { issued(number, leaf); });
  server.ca->on_validate([this](const Identifier&, const std::string& token) -> std::optional<std::string> {
    if (world_.is_on(Fault::validation_fails)) return std::nullopt;
    return answers_->visit(token);
  });
  server.as_known = std::make_shared<const AcmeServer>(
      AcmeServer{server.ca->directory_url(), title, [this, number] { return std::make_unique<Wire>(*this, number); }});
}

/// As Wiring has it for `--server local`.
void Simulation::add_own_authority(std::uint64_t seed) {
  const fs::path folder = folder_ / "state" / "authority";
  const AuthorityTerms terms{KeyType::ec256};
  OwnAuthority own = issue_with(folder, terms, log_);
  own.issue = [this, issue = std::move(own.issue)](const PrivateKey& key, const std::vector<Identifier>& names,
                                                   TimePoint now, bool may_make) {
    CertificateChain chain = issue(key, names, now, may_make);
    issued_here(chain, now);
    return chain;
  };
  const std::string url(local_server);
  managed_.servers = {std::make_shared<const AcmeServer>(
      AcmeServer{.url = url, .name = url, .connect = {}, .external_account = {}, .own = std::move(own)})};
  managed_.solvers.clear();
  managed_.target.clients = clients_of(folder, terms, log_);
  const auto tell_agent = [this](bool force) {
    if (!agenda_) return;
    forced_ |= force;
    agenda_->hurry(name, {.look = true, .now = true, .force = force});
  };
  household_.emplace(world_, broker_, folder, seed, tell_agent, [this](const std::string& why) { condemn(why); });
}

void Simulation::on_event(Event event) {
  switch (event) {
    case Event::crash:
      break;
    case Event::broker_restart:
      if (broker_.up()) {
        broker_.stop();
        broker_.start();
      }
      break;
    case Event::revocation:
      for (Server& server : servers_) server.ca->revoke_all();
      for (auto& [fingerprint, fate] : fates_)
        if (!fate.revoked) fate.revoked = world_.now();
      break;
    case Event::account_lost:
      servers_.front().ca->forget_accounts();
      break;
    case Event::key_change:
      managed_.key_type = is_rsa(managed_.key_type) ? KeyType::ec256 : KeyType::rsa2048;
      key_changed_ = world_.now();
      world_.kill();
      break;
  }
}

void Simulation::on_fault(Fault fault, bool begins) {
  if (fault == Fault::agent_away && begins) world_.kill();
  if (fault == Fault::broker_away && begins) broker_.stop();
  if ((fault == Fault::files_unreadable || fault == Fault::key_unreadable) && begins) broker_.remember_readable();
  if (fault == Fault::owner_awaited && !begins) household_->owner_comes();
  if (fault == Fault::advice_broken) break_advice(begins, world_.strength(fault));
}

void Simulation::break_advice(bool broken, double how) {
  for (Server& server : servers_) {
    server.ca->suggest(nullptr);
    server.ca->refuse_replaces(0);
    if (!broken) continue;
    if (how < 0.2)
      server.ca->suggest([](const Validity& validity) { return Window{validity.not_after, validity.not_before}; });
    else if (how < 0.4)
      server.ca->suggest([this](const Validity&) { return Window{world_.now() - days(2), world_.now() - days(1)}; });
    else if (how < 0.7)
      server.ca->suggest([](const Validity& validity) {
        return Window{validity.not_after + days(1), validity.not_after + days(2)};
      });
    else if (how >= 0.8 && how < 0.9)
      server.ca->refuse_replaces(how < 0.83   ? 500
                                 : how < 0.86 ? 409
                                              : 404,
                                 how < 0.83 ? "serverInternal" : "malformed", "not to be replaced");
  }
}

void Simulation::issued(std::size_t server, const Certificate& leaf) {
  ++result_.issued;
  const std::string fingerprint = leaf.fingerprint_sha256();
  Server& from = servers_[server];
  const auto before = fates_.find(from.last_issued);
  if (before != fates_.end() && !before->second.held && world_.calm() && before->second.due() > world_.now())
    condemn("a second certificate was issued for one renewal: the one before was never held");
  judge_if_early();
  from.last_issued = fingerprint;
  fates_[fingerprint] = {.validity = leaf.validity(), .server = server};
  by_name_[renewal_info_id(leaf)] = fingerprint;
}

void Simulation::judge_if_early() {
  const auto held = fates_.find(held_);
  if (held != fates_.end() && !held->second.revoked && key_changed_ < held_since_ &&
      world_.now() + 10min < held->second.earliest() && world_.memory_for() > mended_within)
    condemn("the certificate held was renewed before " + format_rfc3339(held->second.earliest()));
}

/// Nobody but the owner may say that a certificate which begins later is of a clock that was ahead.
void Simulation::issued_here(const CertificateChain& chain, TimePoint by_clock) {
  ++result_.issued;
  eventful_ = true;
  const auto held = fates_.find(held_);
  if (held != fates_.end() && by_clock + 1h < held->second.validity.not_before && !forced_)
    condemn("a certificate was issued by a clock that is before the begin of the one held");
  if (chain.rest_pem() == issuers_here_ && !forced_) judge_if_early();
  issuers_here_ = chain.rest_pem();
  forced_ = false;
  fates_[chain.leaf().fingerprint_sha256()] = {.validity = chain.leaf().validity()};
}

void Simulation::told(const std::string& url, const Response& response) {
  const auto fingerprint = by_name_.find(url.substr(url.rfind('/') + 1));
  if (fingerprint == by_name_.end()) return;
  Fate& fate = fates_.at(fingerprint->second);
  const json window = json::parse(response.body).at("suggestedWindow");
  const TimePoint start = parse_rfc3339(window.at("start").get<std::string>()).value();
  const TimePoint end = parse_rfc3339(window.at("end").get<std::string>()).value();
  if (end <= start) return;
  fate.earliest_advice = std::min(start, fate.earliest_advice.value_or(start));
  fate.latest_advice = std::max(end, fate.latest_advice.value_or(end));
}

void Simulation::ordered() {
  const Duration off = world_.clock_offset();
  if (off == offset_at_start_ && (off > 25h || off < -2h))
    condemn("a certificate was ordered by a clock that is off by " + std::to_string(off / 1h) + " hours");
}

void Simulation::start_agent() {
  renewer_.emplace(
      state_.accounts(), [this](const std::string& of) { return state_.certificate(of); }, world_.begin() - days(30),
      clock_, log_);
  agenda_.emplace();
  agenda_->add(name, clock_.now());
  latest_ = clock_.now();
}

void Simulation::bury_agent() {
  ++result_.crashes;
  renewer_.reset();
  agenda_.reset();
  world_.resurrect();
  if (!world_.is_on(Fault::agent_away))
    world_.begin_fault(Fault::agent_away, world_.now() + world_.dice().around(shortest_restart, longest_restart));
  world_.resurrect();
}

void Simulation::work(const Wish& wish) {
  ++result_.passes;
  ++passes_today_;
  eventful_ = false;
  offset_at_start_ = world_.clock_offset();
  bool died = false;
  try {
    const Outcome outcome = renewer_->renew(managed_, wish, {}, {});
    if (!world_.dead()) agenda_->settle(name, outcome.next);
  } catch (const Crash&) {
    died = true;
  }
  if (eventful_ || wish.look || died) notice_held();
  if (died || world_.dead()) {
    const Unlimited as_another_process;
    last_attempt_ = state_.certificate(name).peek_record().last_attempt;
    failures_ = 0;
  }
  if (!died && !world_.dead() && eventful_) notice_attempt();
}

void Simulation::notice_held() {
  const Unlimited as_another_process;
  const CertificateState certificate = state_.certificate(name);
  const std::string stamp = certificate.held_stamp();
  if (stamp == held_stamp_) return;
  held_stamp_ = stamp;
  const std::optional<Held> held = certificate.held();
  if (!held) return condemn("the held pair is gone or does not match");
  const std::string fingerprint = held->pair.chain.leaf().fingerprint_sha256();
  if (fingerprint == held_) return;
  held_ = fingerprint;
  held_is_rsa_ = is_rsa(held->pair.key.type());
  held_since_ = world_.now();
  const auto fate = fates_.find(fingerprint);
  if (fate == fates_.end()) return condemn("a certificate is held that no server has issued");
  fate->second.held = true;
  // What other servers issued meanwhile is of no use any more.
  for (Server& server : servers_)
    if (const auto other = fates_.find(server.last_issued); other != fates_.end()) other->second.held = true;
  std::erase_if(fates_,
                [this](const auto& entry) { return entry.second.validity.not_after < world_.now() - days(60); });
  std::erase_if(by_name_, [this](const auto& entry) { return !fates_.contains(entry.second); });
}

/// Failures are to be followed by longer and longer waits, whatever is restarted in between.
void Simulation::notice_attempt() {
  const Unlimited as_another_process;
  const std::optional<TimePoint> attempt = state_.certificate(name).peek_record().last_attempt;
  const bool remembers = world_.memory_for() > 0s || world_.is_on(Fault::agent_away);
  if (!attempt || attempt == last_attempt_) return;
  const bool comparable =
      last_attempt_ && remembers && servers_.size() == 1 && !told_to_wait_ && key_changed_ < *last_attempt_;
  if (comparable && failures_ > 0 && held_since_ < *last_attempt_) {
    constexpr std::array<Duration, 4> ladder{1min, 10min, 100min, 24h};
    Duration wait = ladder.at(static_cast<std::size_t>(std::min(failures_, 4) - 1));
    if (const auto fate = fates_.find(held_); fate != fates_.end()) {
      const Duration lifetime = fate->second.validity.lifetime();
      wait = std::min(wait, lifetime / 10);
      const Duration left = fate->second.validity.not_after - failed_at_;
      if (left > 0s) wait = std::min(wait, std::max(left / 2, std::min<Duration>(10min, lifetime / 100)));
    }
    if (*attempt < std::chrono::floor<std::chrono::seconds>(failed_at_) + wait - 2s)
      condemn("after " + std::to_string(failures_) + " failures the next attempt came at " + format_rfc3339(*attempt) +
              ", too soon after " + format_rfc3339(failed_at_));
  }
  const bool failed = held_since_ < world_.now() - 30min && held_since_ < *attempt;
  failures_ = failed ? (comparable ? failures_ + 1 : 1) : 0;
  failed_at_ = world_.now();
  last_attempt_ = attempt;
  told_to_wait_ = false;
}

/// What an operator and the service manager do for the broker.
void Simulation::look_after_broker() {
  if (broker_restart_at_ && world_.now() >= *broker_restart_at_) {
    broker_restart_at_.reset();
    broker_.stop();
  }
  if (!broker_.up() && !world_.is_on(Fault::broker_away)) {
    std::error_code none;
    const char* last_to_lie_there = broker_.asks_devices() ? "devices.crl" : "privkey.pem";
    if (!ever_served_ && !fs::exists(fs::path(managed_.target.folder) / last_to_lie_there, none)) return;
    broker_.start();
    if (broker_.refused_to_start()) condemn("the broker cannot start with what lies in its folder");
  }
  const Broker::Shown* shown = broker_.shown();
  if (shown != nullptr && !held_.empty() && !broker_restart_at_ && shown->is_rsa != held_is_rsa_) {
    broker_restart_at_ = world_.now() + world_.dice().around(1min, longest_until_broker_restart);
    world_.begin_fault(Fault::broker_not_restarted, *broker_restart_at_);
  }
}

void Simulation::judge() {
  if (broker_.up()) {
    if (const Broker::Shown* shown = broker_.shown()) {
      torn_since_.reset();
      torn_by_clock_ = false;
      shown_until_ = shown->validity.not_after;
      judge_served(*shown);
    } else if (ever_served_) {
      // Nobody mends it while the agent is not there, or has only a clock to go by that is wrong; and what a clock that
      // was ahead has left to go back to is no good, as long as new files cannot be read.
      const bool unreadable = world_.is_on(Fault::files_unreadable) || world_.is_on(Fault::key_unreadable);
      const bool misled = household_ && (world_.is_on(Fault::clock_wrong) || world_.is_on(Fault::owner_awaited));
      torn_by_clock_ = misled || (torn_by_clock_ && unreadable);
      if (!torn_since_ || world_.is_on(Fault::agent_away) || torn_by_clock_) torn_since_ = world_.now();
      // What had ended before was not lost by that; whether it may have ended is judged elsewhere.
      const bool lost = world_.now() - *torn_since_ > 30min && world_.now() <= shown_until_;
      if (world_.calm_here_for() > served_within || lost)
        condemn("new handshakes with the broker fail: certificate and key do not match");
    }
  }
  judge_held();
  judge_day();
  const auto held = fates_.find(held_);
  if (household_) household_->live(held == fates_.end() ? std::nullopt : std::optional(held->second.validity));
}

void Simulation::judge_served(const Broker::Shown& shown) {
  if (shown.placeholder) {
    if (ever_served_) condemn("the broker serves a placeholder again");
    return;
  }
  const auto found = fates_.find(shown.fingerprint);
  if (found == fates_.end()) {
    if (world_.now() < shown.validity.not_after + days(59)) condemn("the broker serves a foreign certificate");
    return;
  }
  ever_served_ = true;
  Fate& fate = found->second;
  if (world_.now() <= fate.validity.not_after) return;
  if (world_.calm_for() > mended_within)
    condemn("an expired certificate is served for more than a day without any fault");
  if (fate.expired) return;
  fate.expired = true;
  ++result_.expired;
  const Duration to_renew = fate.validity.not_after - fate.due();
  const Duration troubled = world_.troubled(fate.due());
  if (troubled + 30min + fate.validity.lifetime() / 100 < to_renew)
    condemn("an expired certificate is served: it was due at " + format_rfc3339(fate.due()) + ", ended at " +
            format_rfc3339(fate.validity.not_after) + ", and faults took " + describe(troubled) + " of " +
            describe(to_renew));
}

void Simulation::judge_held() {
  const auto found = fates_.find(held_);
  if (found == fates_.end()) return;
  const Fate& fate = found->second;
  const Broker::Shown* shown = broker_.shown();
  if (shown != nullptr && world_.now() > held_since_ + served_within &&
      world_.calm_here_for() > looked_at_again_within && shown->fingerprint != held_)
    condemn("what was issued at " + format_rfc3339(held_since_) + " is not served yet");
  if (world_.calm_for() < quiet_days) return;
  TimePoint due = fate.due();
  if (fate.revoked && fate.latest_advice)
    due = std::min(due, std::max(*fate.revoked, held_since_) + advice_known_within);
  if (world_.now() > due + 30min) condemn("the certificate held was due at " + format_rfc3339(due));
}

void Simulation::judge_day() {
  const auto day = std::chrono::floor<days>(world_.now());
  if (passes_today_ > most_passes_a_day || requests_today_ > most_requests_a_day)
    condemn(std::to_string(passes_today_) + " passes and " + std::to_string(requests_today_) + " requests in a day");
  if (day == today_) return;
  if (world_.calm_for() > quiet_days &&
      (passes_today_ > most_passes_a_calm_day || requests_today_ > most_requests_a_calm_day))
    condemn(std::to_string(passes_today_) + " passes and " + std::to_string(requests_today_) +
            " requests in a day without any fault");
  today_ = day;
  passes_today_ = requests_today_ = 0;
}

Result Simulation::run() {
  start_agent();
  while (world_.now() < world_.end() && result_.verdict.empty()) {
    if (lifetime_later_ > 0s && world_.now() > world_.begin() + (world_.end() - world_.begin()) / 2) {
      for (Server& server : servers_) server.ca->certificate_lifetime(lifetime_later_);
      lifetime_later_ = Duration(0);
    }
    if (world_.dead()) bury_agent();
    if (world_.is_on(Fault::agent_away)) {
      world_.pass(1min);
      world_.resurrect();
      look_after_broker();
      judge();
      continue;
    }
    if (!renewer_) start_agent();
    // As Agent::run() does it.
    const TimePoint now = clock_.now();
    if (now < latest_ - 1min) agenda_->wake_all(now);
    latest_ = now;
    for (const auto& [due, wish] : agenda_->take_due(now, 1)) work(wish);
    look_after_broker();
    judge();
    if (world_.dead()) continue;
    Duration nap = longest_nap;
    if (const std::optional<TimePoint> wake = agenda_->wake_at())
      nap = std::clamp<Duration>(*wake - clock_.now(), 0ms, longest_nap);
    world_.pass(nap);
  }
  if (household_) result_.household = household_->counts();
  return result_;
}

}  // namespace

Result simulate(std::uint64_t seed, const Life& life) {
  return Simulation(seed, life).run();
}

}  // namespace acme_agent::sim
