#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <acme_agent/base/clock.hpp>

#include "dice.hpp"
#include "faults.hpp"

namespace acme_agent::sim {

/// The agent's process has died. Nothing in the product catches this.
struct Crash {};

/// The time, and what it brings.
class World {
 public:
  /// `trouble`: how much more often than faults.hpp says things go wrong. Without a server, nothing of its kind does.
  World(std::uint64_t seed, Duration length, double trouble, bool with_server = true);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  TimePoint now() const { return now_; }
  Duration uptime() const { return uptime_; }
  TimePoint begin() const { return begin_; }
  TimePoint end() const { return end_; }
  /// How far the clock of the agent's machine is off.
  Duration clock_offset() const { return clock_offset_; }

  /// Lets time pass, and happen what is due. Returns early when the agent has died.
  void pass(Duration duration);

  bool is_on(Fault fault) const { return on_[static_cast<std::size_t>(fault)] > 0; }
  /// How hard the fault is, from 0 to 1.
  double strength(Fault fault) const { return strength_[static_cast<std::size_t>(fault)]; }
  /// From now until then.
  void begin_fault(Fault fault, TimePoint until, double strength = 1);
  bool calm() const { return faults_on_ == 0; }
  /// For how long there has been no fault at all.
  Duration calm_for() const { return calm() ? now_ - last_fault_ : Duration(0); }
  /// The same without those of the server.
  Duration calm_here_for() const { return here_on_ == 0 ? now_ - last_fault_here_ : Duration(0); }
  /// Since when a clock, a crash or a disk has not made the agent forget.
  Duration memory_for() const { return forgetful_on_ == 0 ? now_ - last_forgetting_ : Duration(0); }
  /// How long faults were on, from `from` to now, those that overlap counted once.
  Duration troubled(TimePoint from) const;
  std::string faults_now() const;

  /// One of the agent's steps: here it may die.
  void step();
  bool dead() const { return dead_; }
  void kill() { dead_ = true; }
  void resurrect();

  Dice& dice() { return dice_; }

  std::function<void(Event)> on_event = [](Event) {};
  std::function<void(Fault, bool begins)> on_fault = [](Fault, bool) {};

 private:
  struct Moment {
    TimePoint at;
    Fault fault;
    bool begins;
    double strength;
    TimePoint until;
  };

  void draw(Duration length, double trouble, bool with_server);
  void end_fault_at(Fault fault, TimePoint until);
  void change(Fault fault, bool begins, double strength);

  Dice dice_;
  const TimePoint begin_;
  const TimePoint end_;
  TimePoint now_;
  Duration uptime_{0};
  Duration clock_offset_{0};
  std::vector<Moment> moments_;  ///< To come; the next one last.
  std::vector<std::pair<TimePoint, Event>> events_;
  std::array<int, 16> on_{};
  std::array<double, 16> strength_{};
  int faults_on_ = 0;
  int here_on_ = 0;
  int forgetful_on_ = 0;
  TimePoint fault_since_;
  TimePoint last_fault_;
  TimePoint last_fault_here_;
  TimePoint last_forgetting_;
  std::vector<std::pair<TimePoint, TimePoint>> troubles_;
  int steps_to_crash_ = 0;
  bool dead_ = false;
};

/// The world of this process: what the seams at the linker's level belong to. Null before and after.
extern World* current_world;

/// The machine's own limits do not count for who is not the agent.
class Unlimited {
 public:
  Unlimited();
  ~Unlimited();
  Unlimited(const Unlimited&) = delete;
  Unlimited& operator=(const Unlimited&) = delete;
};

const char* name_of(Fault fault);

}  // namespace acme_agent::sim
