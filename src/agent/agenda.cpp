#include <acme_agent/agent/agenda.hpp>

namespace acme_agent {

void Wish::join(const Wish& other) {
  look = look || other.look;
  now = now || other.now;
  force = force || other.force;
}

void Agenda::add(const std::string& name, TimePoint now) {
  const auto [entry, is_new] = entries_.try_emplace(name, Entry{.due = now, .wish = {.look = true}});
  if (is_new) queue_.emplace(now, name);
  entry->second.removed = false;
}

void Agenda::remove(const std::string& name) {
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) return;
  if (entry->second.working) {
    entry->second.removed = true;
    return;
  }
  queue_.erase({entry->second.due, name});
  entries_.erase(entry);
}

bool Agenda::hurry(const std::string& name, const Wish& wish, TimePoint now) {
  const auto entry = entries_.find(name);
  if (entry == entries_.end() || entry->second.removed) return false;
  entry->second.wish.join(wish);
  if (entry->second.working) {
    entry->second.hurried = true;
    return true;
  }
  queue_.erase({entry->second.due, name});
  entry->second.due = now;
  queue_.emplace(now, name);
  return true;
}

void Agenda::wake_all(TimePoint now) {
  queue_.clear();
  for (auto& [name, entry] : entries_) {
    if (entry.working) continue;
    entry.due = now;
    queue_.emplace(now, name);
  }
}

std::vector<std::pair<std::string, Wish>> Agenda::take_due(TimePoint now, std::size_t room) {
  std::vector<std::pair<std::string, Wish>> due;
  while (due.size() < room && !queue_.empty() && queue_.begin()->first <= now) {
    const std::string name = queue_.begin()->second;
    queue_.erase(queue_.begin());
    Entry& entry = entries_.at(name);
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
  entry->second.due = hurried ? TimePoint() : next;
  queue_.emplace(entry->second.due, name);
  return !hurried;
}

std::optional<TimePoint> Agenda::wake_at() const {
  if (queue_.empty()) return std::nullopt;
  return queue_.begin()->first;
}

}  // namespace acme_agent
