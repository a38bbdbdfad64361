#include "world.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <csignal>

#include <acme_agent/base/dates.hpp>

namespace acme_agent::sim {

World* current_world = nullptr;

namespace {

/// A full disk: files can be made, and take nothing or little; never about as much as a record with the numbers of
/// inodes in it has, whose length is another one in each run.
void limit_files(bool limited, double strength) {
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = limited ? static_cast<rlim_t>(strength < 0.5 ? 0 : strength * 1000) : limit.rlim_max;
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

void limit_descriptors(bool limited) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limited ? 0 : std::min<rlim_t>(limit.rlim_max, 1024);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

bool is_here(Fault fault) {
  return fault >= Fault::broker_away && fault != Fault::server_busy;
}

bool is_of_server(Event event) {
  return event == Event::revocation || event == Event::account_lost;
}

bool makes_forget(Fault fault) {
  return fault == Fault::clock_wrong || fault == Fault::agent_away || fault == Fault::disk_full ||
         fault == Fault::no_descriptors;
}

}  // namespace

const char* name_of(Fault fault) {
  constexpr std::array names = {
      "server away",  "errors",      "answers lost",     "answers slow",         "advice broken",
      "validation",   "broker away", "files unreadable", "key unreadable",       "clock wrong",
      "agent away",   "disk full",   "no descriptors",   "broker not restarted", "server busy",
      "owner awaited"};
  return names.at(static_cast<std::size_t>(fault));
}

World::World(std::uint64_t seed, Duration length, double trouble, bool with_server)
    : dice_(seed),
      begin_(std::chrono::sys_days{std::chrono::year{2026} / 12 / 1}),
      end_(begin_ + length),
      now_(begin_),
      fault_since_(begin_),
      last_fault_(begin_ - days(3650)),
      last_fault_here_(last_fault_),
      last_forgetting_(last_fault_) {
  std::signal(SIGXFSZ, SIG_IGN);
  draw(length, trouble, with_server);
  current_world = this;
}

World::~World() {
  current_world = nullptr;
  limit_files(false, 0);
  limit_descriptors(false);
}

void World::draw(Duration length, double trouble, bool with_server) {
  for (const FaultRate& rate : fault_rates) {
    if (!with_server && !is_here(rate.fault)) continue;
    TimePoint at = begin_ + dice_.until_next(rate.per_year * trouble);
    while (at < begin_ + length) {
      const TimePoint until = at + dice_.around(rate.shortest, rate.longest);
      moments_.push_back({at, rate.fault, true, dice_.share(), until});
      at = until + dice_.until_next(rate.per_year * trouble);
    }
  }
  for (const EventRate& rate : event_rates) {
    if (!with_server && is_of_server(rate.event)) continue;
    for (TimePoint at = begin_ + dice_.until_next(rate.per_year * trouble); at < begin_ + length;
         at += dice_.until_next(rate.per_year * trouble))
      events_.emplace_back(at, rate.event);
  }
  std::sort(moments_.begin(), moments_.end(), [](const Moment& a, const Moment& b) { return a.at > b.at; });
  std::sort(events_.rbegin(), events_.rend());
}

void World::change(Fault fault, bool begins, double strength) {
  const int by = begins ? 1 : -1;
  const auto index = static_cast<std::size_t>(fault);
  on_[index] += by;
  if (begins) strength_[index] = strength;
  if (begins && faults_on_ == 0) fault_since_ = now_;
  faults_on_ += by;
  if (!begins) {
    last_fault_ = now_;
    if (faults_on_ == 0) troubles_.emplace_back(fault_since_, now_);
  }
  if (is_here(fault)) {
    here_on_ += by;
    if (!begins) last_fault_here_ = now_;
  }
  if (makes_forget(fault)) {
    forgetful_on_ += by;
    last_forgetting_ = now_;
  }
  if (fault == Fault::disk_full) limit_files(is_on(fault), strength);
  if (fault == Fault::no_descriptors) limit_descriptors(is_on(fault));
  if (fault == Fault::clock_wrong) {
    // Minutes, days, years; forwards or backwards.
    const double how_far = strength < 0.5 ? strength * 2 : strength * 2 - 1;
    Dice drawn(static_cast<std::uint64_t>(how_far * 1e9));
    const Duration far = drawn.around(1min, days(3650));
    clock_offset_ = !is_on(fault) ? Duration(0) : strength < 0.5 ? far : -far;
  }
  on_fault(fault, begins);
}

void World::pass(Duration duration) {
  const TimePoint until = now_ + duration;
  const auto go_to = [this](TimePoint time) {
    if (time <= now_) return;
    uptime_ += time - now_;
    now_ = time;
  };
  const bool was_dead = dead_;
  while (was_dead || !dead_) {
    const TimePoint next_moment = moments_.empty() ? end_ + days(36500) : moments_.back().at;
    const TimePoint next_event = events_.empty() ? end_ + days(36500) : events_.back().first;
    if (std::min(next_moment, next_event) > until) return go_to(until);
    if (next_moment <= next_event) {
      const Moment moment = moments_.back();
      moments_.pop_back();
      go_to(moment.at);
      if (moment.begins)
        begin_fault(moment.fault, moment.until, moment.strength);
      else
        change(moment.fault, false, moment.strength);
    } else {
      const Event event = events_.back().second;
      events_.pop_back();
      go_to(next_event);
      if (event == Event::crash)
        steps_to_crash_ = 1 + dice_.below(steps_to_a_crash);
      else
        on_event(event);
    }
  }
}

void World::begin_fault(Fault fault, TimePoint until, double strength) {
  end_fault_at(fault, std::max(until, now_));
  change(fault, true, strength);
}

void World::end_fault_at(Fault fault, TimePoint until) {
  const Moment end{until, fault, false, 0, until};
  const auto place = std::upper_bound(moments_.begin(), moments_.end(), end,
                                      [](const Moment& a, const Moment& b) { return a.at > b.at; });
  moments_.insert(place, end);
}

void World::step() {
  if (!dead_ && steps_to_crash_ > 0 && --steps_to_crash_ == 0) dead_ = true;
  if (dead_) throw Crash{};
}

void World::resurrect() {
  dead_ = false;
}

Duration World::troubled(TimePoint from) const {
  Duration sum = faults_on_ > 0 ? now_ - std::max(fault_since_, from) : Duration(0);
  for (auto trouble = troubles_.rbegin(); trouble != troubles_.rend() && trouble->second > from; ++trouble)
    sum += trouble->second - std::max(trouble->first, from);
  return sum;
}

std::string World::faults_now() const {
  std::string names;
  for (std::size_t i = 0; i <= static_cast<std::size_t>(Fault::owner_awaited); ++i)
    if (on_[i] > 0) names += std::string(names.empty() ? "" : ", ") + name_of(static_cast<Fault>(i));
  return names.empty() ? "none" : names;
}

Unlimited::Unlimited() {
  if (current_world->is_on(Fault::disk_full)) limit_files(false, 0);
  if (current_world->is_on(Fault::no_descriptors)) limit_descriptors(false);
}

Unlimited::~Unlimited() {
  if (current_world->is_on(Fault::disk_full)) limit_files(true, current_world->strength(Fault::disk_full));
  if (current_world->is_on(Fault::no_descriptors)) limit_descriptors(true);
}

}  // namespace acme_agent::sim
