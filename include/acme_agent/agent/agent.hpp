#pragma once

#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include <acme_agent/agent/agenda.hpp>
#include <acme_agent/agent/mailbox.hpp>
#include <acme_agent/agent/renewer.hpp>

namespace acme_agent {

/// Owns the workers and the agenda. run() belongs to one thread; the other methods may be called from any.
class Agent {
 public:
  Agent(const Renewer& renewer, Clock& clock, Log& log, int workers);

  /// What can be told of all certificates together.
  struct Summary {
    std::size_t certificates = 0;
    std::size_t troubled = 0;       ///< How many had no good outcome last.
    std::string first_troubled;     ///< One of them.
    std::optional<TimePoint> next;  ///< When something is due.

    bool operator==(const Summary&) const = default;
  };

  /// From run() on, `alive` is called each time before the main thread sleeps, and that is never longer than `nap`.
  void tell_alive(std::function<void(const Summary&)> alive, Duration nap);

  /// Looks after these certificates until a stop is requested. `ready` is called once: every broker's folder holds a
  /// pair to start with. `at_rest` is called when work was done and nothing more is due.
  void run(std::vector<Managed> certificates, const std::function<void()>& ready, const std::function<void()>& at_rest,
           const std::stop_token& stop);

  /// Works on each certificate once and returns the outcomes by name; fewer after a stop.
  std::map<std::string, Outcome> run_once(std::vector<Managed> certificates, const Wish& wish,
                                          const std::stop_token& stop);

  /// From now on these, each of them looked at again in its turn. What is being worked on is finished as it was begun.
  void replace(std::vector<Managed> certificates);

  /// Works on one certificate now; nothing if it is unknown. The future is broken when the agent stops.
  std::future<std::optional<Outcome>> renew(const std::string& name, const Wish& wish);

 private:
  /// A certificate while it is not worked on: as there may be thousands, they share what they have in common.
  struct Kept {
    std::string name;
    std::vector<Identifier> identifiers;
    std::string folder;
    std::shared_ptr<const Managed> terms;

    Managed whole() const;
  };
  struct Task {
    Managed managed;
    Wish wish;
    bool awaited = false;  ///< Somebody waits to hear that it is servable.
  };
  struct Settled {
    std::string name;
    Outcome outcome;
  };
  struct Servable {
    std::string name;
  };
  struct Replace {
    std::vector<Managed> certificates;
  };
  struct Renew {
    std::string name;
    Wish wish;
    std::promise<std::optional<Outcome>> answer;
  };
  using Message = std::variant<Settled, Servable, Replace, Renew>;

  class Workers;

  struct ByName {
    using is_transparent = void;
    static const std::string& name_of(const std::string& name) { return name; }
    static const std::string& name_of(const Kept& kept) { return kept.name; }
    bool operator()(const auto& left, const auto& right) const { return name_of(left) < name_of(right); }
  };

  Summary summary() const;
  void take(const std::vector<Managed>& certificates);
  void work(const Task& task, const std::stop_token& stop);

  const Renewer& renewer_;
  Clock& clock_;
  Log& log_;
  const int workers_;
  std::function<void(const Summary&)> alive_;
  Duration nap_;
  std::set<std::string> troubled_;
  Mailbox<Message> mailbox_;
  Agenda agenda_;
  std::set<Kept, ByName> managed_;
};

}  // namespace acme_agent
