#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <acme_agent/base/clock.hpp>

namespace acme_agent {

/// What an entry is asked to do when its turn comes.
struct Wish {
  bool look = false;   ///< Compare what is served with what is held.
  bool now = false;    ///< Our own waits do not count.
  bool force = false;  ///< Renew even if it is not due.
  bool tell = false;   ///< The broker is to have what has changed besides; no order is hurried.

  void join(const Wish& other);
  bool operator==(const Wish&) const = default;
};

/// Which certificate is due when. Pure: no clock, no threads.
class Agenda {
 public:
  /// A new entry or a known one: due now, or as soon as it is settled, with a look.
  void add(const std::string& name, TimePoint now);
  /// Forgotten at once, or when it is settled if it is being worked on.
  void remove(const std::string& name);

  /// Makes the entry due before all others, or as soon as it is settled; false if it is unknown.
  bool hurry(const std::string& name, const Wish& wish);

  /// It is being worked on, also where it is to be forgotten then.
  bool is_working(const std::string& name) const;

  /// Everything that is not being worked on is due now: for a clock that was set back, by which all dates are too late.
  void wake_all(TimePoint now);

  /// The entries that are due, most overdue first, `room` at most; from then on they are being worked on.
  std::vector<std::pair<std::string, Wish>> take_due(TimePoint now, std::size_t room);

  /// The work is done; the entry is due again at `next`. False if it was hurried meanwhile: then it is due at once.
  bool settle(const std::string& name, TimePoint next);

  /// The next moment when something is due; nothing if nothing ever is.
  std::optional<TimePoint> wake_at() const;

 private:
  struct Entry {
    TimePoint due;
    Wish wish;
    bool working = false;
    bool removed = false;
    bool hurried = false;
  };

  using Entries = std::map<std::string, Entry>;
  struct Sooner {
    bool operator()(Entries::iterator left, Entries::iterator right) const {
      return std::tie(left->second.due, left->first) < std::tie(right->second.due, right->first);
    }
  };

  void set_due(Entries::iterator entry, TimePoint due);

  Entries entries_;
  std::set<Entries::iterator, Sooner> queue_;  ///< Those that are not being worked on.
};

}  // namespace acme_agent
