#include <algorithm>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>

#include <acme_agent/agent/agent.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr Duration small_correction = 1min;
constexpr Duration longest_nap = 15min;  // the clock of a Pi may jump while we sleep

/// What certificates have in common.
Managed terms_of(Managed managed) {
  managed.name.clear();
  managed.identifiers.clear();
  managed.target.name.clear();
  managed.target.identifiers.clear();
  managed.target.folder.clear();
  return managed;
}

}  // namespace

/// The threads that renew. They end with the object, at once: what they do stops, too.
class Agent::Workers {
 public:
  /// `ahead`: how many tasks may wait for one of the threads.
  Workers(Agent& agent, std::size_t threads, std::size_t ahead)
      : agent_(agent), all_room_(threads + ahead), room_(all_room_) {
    for (std::size_t i = 0; i < threads; ++i)
      threads_.emplace_back([this](const std::stop_token& stop) {
        while (const std::optional<Task> task = tasks_.take(stop)) agent_.work(*task, stop);
      });
  }

  ~Workers() {
    for (std::jthread& thread : threads_) thread.request_stop();  // all at once, not one after the other
  }

  std::size_t room() const { return room_; }
  void start(Task task) {
    --room_;
    tasks_.put(std::move(task));
  }
  void done() { ++room_; }
  bool at_rest() const { return room_ == all_room_; }

 private:
  Agent& agent_;
  const std::size_t all_room_;
  std::size_t room_;  // the main thread's view
  Mailbox<Task> tasks_;
  std::vector<std::jthread> threads_;
};

Agent::Agent(const Renewer& renewer, Clock& clock, Log& log, int workers)
    : renewer_(renewer), clock_(clock), log_(log), workers_(workers), nap_(longest_nap) {}

void Agent::tell_alive(std::function<void(const Summary&)> alive, Duration nap) {
  alive_ = std::move(alive);
  nap_ = std::min(nap, longest_nap);
}

Agent::Summary Agent::summary() const {
  return {managed_.size(), troubled_.size(), troubled_.empty() ? "" : *troubled_.begin(), agenda_.wake_at()};
}

void Agent::replace(std::vector<Managed> certificates) {
  mailbox_.put(Replace{std::move(certificates)});
}

std::future<std::optional<Outcome>> Agent::renew(const std::string& name, const Wish& wish) {
  Renew message{name, wish, {}};
  std::future<std::optional<Outcome>> answer = message.answer.get_future();
  mailbox_.put(std::move(message));
  return answer;
}

Managed Agent::Kept::whole() const {
  Managed managed = *terms;
  managed.name = managed.target.name = name;
  managed.identifiers = managed.target.identifiers = identifiers;
  managed.target.folder = folder;
  return managed;
}

void Agent::take(const std::vector<Managed>& certificates) {
  constexpr auto by_value = [](const auto& left, const auto& right) { return *left < *right; };
  std::set<std::shared_ptr<const Managed>, decltype(by_value)> shared;
  std::set<Kept, ByName> fresh;
  for (const Managed& managed : certificates) {
    const auto terms = shared.insert(std::make_shared<const Managed>(terms_of(managed))).first;
    fresh.insert({managed.name, managed.identifiers, managed.target.folder, *terms});
  }
  for (const Kept& known : managed_)
    if (!fresh.contains(known)) agenda_.remove(known.name);
  std::erase_if(troubled_, [&](const std::string& name) { return !fresh.contains(name); });
  for (const Kept& kept : fresh) agenda_.add(kept.name, clock_.now());
  managed_ = std::move(fresh);
}

void Agent::work(const Task& task, const std::stop_token& stop) {
  try {
    const Managed& managed = task.managed;
    std::function<void()> servable;
    if (task.awaited) servable = [&] { mailbox_.put(Servable{managed.name}); };
    const Outcome outcome = renewer_.renew(managed, task.wish, servable, stop);
    mailbox_.put(Settled{managed.name, outcome});
  } catch (const Stopped&) {
    // the agent is going down; nothing is left to say
  }
}

void Agent::run(std::vector<Managed> certificates, const std::function<void()>& ready,
                const std::function<void()>& at_rest, const std::stop_token& stop) {
  take(std::exchange(certificates, {}));
  std::set<std::string> not_servable;
  for (const Kept& kept : managed_) {
    if (renewer_.is_servable(kept.whole())) continue;
    not_servable.insert(kept.name);
    agenda_.add(kept.name, clock_.now() - 24h);  // these come first
  }
  if (not_servable.empty()) ready();
  std::multimap<std::string, std::promise<std::optional<Outcome>>> waiting;
  Workers workers(*this, static_cast<std::size_t>(workers_), 0);  // so that who is hurried waits for nobody

  TimePoint latest = clock_.now();
  bool worked = false;
  while (!stop.stop_requested()) {
    const TimePoint now = clock_.now();
    if (now < latest - small_correction) agenda_.wake_all(now);
    latest = now;
    for (auto& [name, wish] : agenda_.take_due(now, workers.room()))
      workers.start({managed_.find(name)->whole(), wish, not_servable.contains(name)});

    Duration nap = nap_;
    if (const std::optional<TimePoint> wake = agenda_.wake_at(); wake && workers.room() > 0)
      nap = std::clamp<Duration>(*wake - clock_.now(), 0ms, nap_);
    if (worked && workers.at_rest() && nap > 0ms) {
      at_rest();
      worked = false;
    }
    if (alive_) alive_(summary());
    std::optional<Message> message = mailbox_.take(nap, stop);
    if (!message) continue;

    if (auto* settled = std::get_if<Settled>(&*message)) {
      workers.done();
      worked = true;
      if (!agenda_.settle(settled->name, settled->outcome.next)) continue;
      const bool known = managed_.contains(settled->name);
      if (!known || settled->outcome.exit_code() == 0)
        troubled_.erase(settled->name);
      else
        troubled_.insert(settled->name);
      const auto [first, last] = waiting.equal_range(settled->name);
      for (auto answer = first; answer != last; ++answer)
        answer->second.set_value(known ? std::optional(settled->outcome) : std::nullopt);
      waiting.erase(first, last);
    } else if (auto* servable = std::get_if<Servable>(&*message)) {
      if (not_servable.erase(servable->name) > 0 && not_servable.empty()) ready();
    } else if (auto* replacement = std::get_if<Replace>(&*message)) {
      take(replacement->certificates);
      const auto is_gone = [this](const std::string& name) { return !managed_.contains(name); };
      if (std::erase_if(not_servable, is_gone) > 0 && not_servable.empty()) ready();
      for (auto& [name, answer] : waiting)
        if (is_gone(name)) answer.set_value(std::nullopt);
      std::erase_if(waiting, [&](const auto& entry) { return is_gone(entry.first); });
    } else if (auto* renew = std::get_if<Renew>(&*message)) {
      // Who removes it waits for what is still being done about it.
      if (agenda_.hurry(renew->name, renew->wish) || agenda_.is_working(renew->name))
        waiting.emplace(renew->name, std::move(renew->answer));
      else
        renew->answer.set_value(std::nullopt);
    }
  }
  while (mailbox_.take(0ms, {})) {  // who still waits for an answer hears that there will be none
  }
}

std::map<std::string, Outcome> Agent::run_once(std::vector<Managed> certificates, const Wish& wish,
                                               const std::stop_token& stop) {
  take(certificates);
  std::map<std::string, Outcome> outcomes;
  for (const Kept& kept : managed_) agenda_.hurry(kept.name, wish);
  const std::size_t all = managed_.size();
  const std::size_t threads = std::min(all, static_cast<std::size_t>(workers_));
  Workers workers(*this, threads, 4 * threads);  // nobody hurries, and no thread has to wait for this one

  while (outcomes.size() < all && !stop.stop_requested()) {
    for (auto& [name, task_wish] : agenda_.take_due(clock_.now(), workers.room()))
      if (!outcomes.contains(name)) workers.start({managed_.find(name)->whole(), task_wish});
    const std::optional<Message> message = mailbox_.take(stop);
    if (const auto* settled = message ? std::get_if<Settled>(&*message) : nullptr) {
      workers.done();
      outcomes.emplace(settled->name, settled->outcome);
    }
  }
  return outcomes;
}

}  // namespace acme_agent
