#include <algorithm>

#include <acme_agent/agent/agenda.hpp>

namespace acme_agent {
namespace {

constexpr TimePoint before_all_others{};

}  // namespace

void Wish::join(const Wish& other) {
  look = look || other.look;
  now = now || other.now;
  force = force || other.force;
  tell = tell || other.tell;
}

void Agenda::add(const std::string& name, TimePoint now) {
  const auto entry = entries_.try_emplace(name, Entry{.due = now, .wish = {}}).first;
  entry->second.removed = false;
  entry->second.wish.look = true;
  if (entry->second.working)
    entry->second.hurried = true;
  else
    set_due(entry, std::min(entry->second.due, now));
}

void Agenda::remove(const std::string& name) {
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) return;
  if (entry->second.working) {
    entry->second.removed = true;
    return;
  }
  queue_.erase(entry);
  entries_.erase(entry);
}

bool Agenda::hurry(const std::string& name, const Wish& wish) {
  const auto entry = entries_.find(name);
  if (entry == entries_.end() || entry->second.removed) return false;
  entry->second.wish.join(wish);
  if (entry->second.working)
    entry->second.hurried = true;
  else
    set_due(entry, before_all_others);
  return true;
}

bool Agenda::is_working(const std::string& name) const {
  const auto entry = entries_.find(name);
  return entry != entries_.end() && entry->second.working;
}

void Agenda::set_due(Entries::iterator entry, TimePoint due) {
  queue_.erase(entry);  // while it is where its old date has put it
  entry->second.due = due;
  queue_.insert(entry);
}

void Agenda::wake_all(TimePoint now) {
  queue_.clear();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->second.working) continue;
    entry->second.due = std::min(entry->second.due, now);
    queue_.insert(entry);
  }
}

std::vector<std::pair<std::string, Wish>> Agenda::take_due(TimePoint now, std::size_t room) {
  std::vector<std::pair<std::string, Wish>> due;
  while (due.size() < room && !queue_.empty() && (*queue_.begin())->second.due <= now) {
    auto& [name, entry] = **queue_.begin();
    queue_.erase(queue_.begin());
    entry.working = true;
    due.emplace_back(name, std::exchange(entry.wish, {}));
  }
  return due;
}

bool Agenda::settle(const std::string& name, TimePoint next) {
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) return true;
  if (entry->second.removed) {
    entries_.erase(entry);
    return true;
  }
  const bool hurried = std::exchange(entry->second.hurried, false);
  entry->second.working = false;
  entry->second.due = hurried ? before_all_others : next;
  queue_.insert(entry);
  return !hurried;
}

std::optional<TimePoint> Agenda::wake_at() const {
  if (queue_.empty()) return std::nullopt;
  return (*queue_.begin())->second.due;
}

}  // namespace acme_agent
