#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/systemd.hpp>

#include "errno_text.hpp"
#include "event.hpp"

namespace acme_agent {
namespace {

/// What of libsystemd is used. It is loaded when it is needed first, as it takes five more libraries with it: a seventh
/// of the time that a start takes, and not even there on many a machine without systemd.
class SdBus {
 public:
  SdBus() : library_(::dlopen("libsystemd.so.0", RTLD_NOW)) {
    if (library_ == nullptr)
      throw Error(Remedy::ask_operator, "libsystemd is not installed here: install it, or choose another --reload");
    find(open_system, "sd_bus_open_system");
    find(close_unref, "sd_bus_close_unref");
    find(get_fd, "sd_bus_get_fd");
    find(get_events, "sd_bus_get_events");
    find(process, "sd_bus_process");
    find(call_async, "sd_bus_call_async");
    find(match_signal_async, "sd_bus_match_signal_async");
    find(slot_unref, "sd_bus_slot_unref");
    find(new_method_call, "sd_bus_message_new_method_call");
    find(append_basic, "sd_bus_message_append_basic");
    find(enter_container, "sd_bus_message_enter_container");
    find(read, "sd_bus_message_read");
    find(get_error, "sd_bus_message_get_error");
    find(message_ref, "sd_bus_message_ref");
    find(message_unref, "sd_bus_message_unref");
  }

  decltype(&sd_bus_open_system) open_system = nullptr;
  decltype(&sd_bus_close_unref) close_unref = nullptr;
  decltype(&sd_bus_get_fd) get_fd = nullptr;
  decltype(&sd_bus_get_events) get_events = nullptr;
  decltype(&sd_bus_process) process = nullptr;
  decltype(&sd_bus_call_async) call_async = nullptr;
  decltype(&sd_bus_match_signal_async) match_signal_async = nullptr;
  decltype(&sd_bus_slot_unref) slot_unref = nullptr;
  decltype(&sd_bus_message_new_method_call) new_method_call = nullptr;
  decltype(&sd_bus_message_append_basic) append_basic = nullptr;
  decltype(&sd_bus_message_enter_container) enter_container = nullptr;
  decltype(&sd_bus_message_read) read = nullptr;
  decltype(&sd_bus_message_get_error) get_error = nullptr;
  decltype(&sd_bus_message_ref) message_ref = nullptr;
  decltype(&sd_bus_message_unref) message_unref = nullptr;

 private:
  template <class Function>
  void find(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(::dlsym(library_, name));
    if (function == nullptr)
      throw Error(Remedy::ask_operator,
                  std::string("libsystemd is too old, it has no ") + name + ": choose another --reload");
  }

  void* const library_;  // stays for good
};

const SdBus& library() {
  static const SdBus loaded;
  return loaded;
}

struct Release {
  void operator()(sd_bus* bus) const noexcept { library().close_unref(bus); }
  void operator()(sd_bus_message* message) const noexcept { library().message_unref(message); }
  void operator()(sd_bus_slot* slot) const noexcept { library().slot_unref(slot); }
};
using Bus = std::unique_ptr<sd_bus, Release>;
using Message = std::unique_ptr<sd_bus_message, Release>;
using Slot = std::unique_ptr<sd_bus_slot, Release>;

// org.freedesktop.systemd1(5)
constexpr const char* systemd = "org.freedesktop.systemd1";
constexpr const char* manager_path = "/org/freedesktop/systemd1";
constexpr const char* manager = "org.freedesktop.systemd1.Manager";
constexpr const char* any_unit = "org.freedesktop.systemd1.Unit";
constexpr const char* service = "org.freedesktop.systemd1.Service";

/// The results of jobs that ended, by their paths.
using EndedJobs = std::map<std::string, std::string>;

int take_answer(sd_bus_message* message, void* answer, sd_bus_error*) noexcept {
  static_cast<Message*>(answer)->reset(library().message_ref(message));
  return 0;
}

int take_ended_job(sd_bus_message* message, void* ended, sd_bus_error*) noexcept {
  unsigned id = 0;
  const char *job = nullptr, *unit = nullptr, *result = nullptr;
  if (library().read(message, "uoss", &id, &job, &unit, &result) < 0) return 0;
  try {
    static_cast<EndedJobs*>(ended)->insert_or_assign(job, result);
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
  return 0;
}

/// What a refusal means for who wants to `verb` (reload, restart) `unit`.
Error refusal(const std::string& verb, const std::string& unit, const sd_bus_error& error) {
  const std::string name = error.name == nullptr ? "" : error.name;
  const std::string said = printable(error.message == nullptr ? name : error.message, 300);
  const auto is = [&name](std::string_view end) { return name.ends_with(end); };
  if (is(".AccessDenied") || is(".InteractiveAuthorizationRequired")) {
    return Error(Remedy::ask_operator, "user " + std::to_string(::geteuid()) + " may not " + verb + " " + unit +
                                           ": let a polkit rule permit it (org.freedesktop.systemd1.manage-units with "
                                           "this unit and the verb " +
                                           verb + "), as systemd/50-acme-agent.rules does");
  }
  if (is(".NoSuchUnit")) return Error(Remedy::ask_operator, "there is no " + unit + ": correct its name");
  if (is(".ServiceUnknown") || is(".NameHasNoOwner"))
    return Error(Remedy::ask_operator, "systemd is not on the system bus: choose another --reload");
  return Error(Remedy::retry, "systemd refuses: " + said);
}

/// Some questions to systemd about one unit, all within one time limit; a stop ends each.
class Conversation {
 public:
  Conversation(std::string unit, Duration timeout, const std::stop_token& stop)
      : unit_(std::move(unit)),
        timeout_(timeout),
        deadline_(std::chrono::steady_clock::now() + timeout),
        stop_(stop),
        stopped_(stop) {
    sd_bus* bus = nullptr;
    if (const int result = library().open_system(&bus); result < 0) {
      const bool missing = result == -ENOENT || result == -ECONNREFUSED || result == -EACCES;
      throw Error(missing ? Remedy::ask_operator : Remedy::retry,
                  (missing ? "there is no system bus here (" : "the system bus does not answer (") +
                      errno_text(-result) + "): see whether systemd and D-Bus run, or choose another --reload");
    }
    bus_.reset(bus);
    Message answer = call(manager_path, manager, "LoadUnit", {unit_.c_str()});
    const char* path = nullptr;
    check(library().read(answer.get(), "o", &path));
    unit_path_ = path;
    if (text(any_unit, "LoadState") == "not-found")
      throw Error(Remedy::ask_operator, "there is no " + unit_ + ": correct its name ('systemctl list-units' has all)");
  }

  std::string state() { return text(any_unit, "ActiveState"); }

  bool can_reload() {
    const Message answer = property(any_unit, "CanReload", "b");
    int can = 0;
    check(library().read(answer.get(), "b", &can));
    return can != 0;
  }

  pid_t main_pid() {
    const Message answer = property(service, "MainPID", "u");
    unsigned pid = 0;
    check(library().read(answer.get(), "u", &pid));
    return static_cast<pid_t>(pid);
  }

  /// How the job ended: "done", "failed", ….
  std::string reload() { return run_job("ReloadUnit"); }
  std::string restart() {
    verb_ = "restart";
    return run_job("RestartUnit");
  }

 private:
  std::string run_job(const char* method) {
    EndedJobs ended;
    sd_bus_slot* slot = nullptr;
    check(library().match_signal_async(bus_.get(), &slot, systemd, manager_path, manager, "JobRemoved", take_ended_job,
                                       nullptr, &ended));
    const Slot kept(slot);
    const Message answer = call(manager_path, manager, method, {unit_.c_str(), "replace"});
    const char* job = nullptr;
    check(library().read(answer.get(), "o", &job));
    wait_until([&] { return ended.contains(job); });
    return ended.at(job);
  }

  std::string text(const char* interface, const char* name) {
    const Message answer = property(interface, name, "s");
    const char* value = nullptr;
    check(library().read(answer.get(), "s", &value));
    return value;
  }

  Message property(const char* interface, const char* name, const char* type) {
    Message answer = call(unit_path_.c_str(), "org.freedesktop.DBus.Properties", "Get", {interface, name});
    check(library().enter_container(answer.get(), 'v', type));
    return answer;
  }

  Message call(const char* path, const char* interface, const char* member, std::initializer_list<const char*> words) {
    sd_bus_message* made = nullptr;
    check(library().new_method_call(bus_.get(), &made, systemd, path, interface, member));
    const Message request(made);
    for (const char* word : words) check(library().append_basic(request.get(), 's', word));
    Message answer;
    sd_bus_slot* slot = nullptr;
    const auto patience = std::chrono::duration_cast<std::chrono::microseconds>(timeout_).count();
    check(library().call_async(bus_.get(), &slot, request.get(), take_answer, &answer,
                               static_cast<std::uint64_t>(patience)));
    const Slot kept(slot);
    wait_until([&answer] { return answer != nullptr; });
    if (const sd_bus_error* error = library().get_error(answer.get())) {
      if (std::string_view(error->name).ends_with(".NoReply")) check(-ETIMEDOUT);
      throw refusal(verb_, unit_, *error);
    }
    return answer;
  }

  void wait_until(const std::function<bool()>& done) {
    while (!done()) {
      const auto left = std::chrono::ceil<Duration>(deadline_ - std::chrono::steady_clock::now()).count();
      if (left <= 0) check(-ETIMEDOUT);
      if (stop_.stop_requested()) throw Stopped{};
      const int result = library().process(bus_.get(), nullptr);
      check(result);
      if (result > 0) continue;
      const int events = library().get_events(bus_.get());
      check(events);
      constexpr Duration::rep longest_poll = 1000;  // sd-bus has time-outs of its own
      std::array<pollfd, 2> waiting = {
          {{library().get_fd(bus_.get()), static_cast<short>(events), 0}, {stopped_.descriptor(), POLLIN, 0}}};
      ::poll(waiting.data(), waiting.size(), static_cast<int>(std::min(left, longest_poll)));
    }
  }

  void check(int result) const {
    if (result >= 0) return;
    if (result == -ETIMEDOUT)
      throw Error(Remedy::retry, "systemd was not done with " + unit_ + " within " + describe(timeout_));
    throw Error(Remedy::retry, "cannot speak with systemd over the system bus: " + errno_text(-result));
  }

  const std::string unit_;
  const Duration timeout_;
  const std::chrono::steady_clock::time_point deadline_;
  const std::stop_token& stop_;
  const StopEvent stopped_;
  Bus bus_;
  std::string unit_path_;
  std::string verb_ = "reload";
};

}  // namespace

void reload_service(const std::string& unit, Duration timeout, const std::stop_token& stop) {
  Conversation about(unit, timeout, stop);
  if (const std::string state = about.state(); state != "active" && state != "reloading")
    throw Error(Remedy::retry, unit + " is " + printable(state, 40) + ", so that it cannot be reloaded");
  if (!about.can_reload())
    throw Error(Remedy::ask_operator, unit +
                                          " has no way to reload: add ExecReload=/bin/kill -HUP $MAINPID by "
                                          "'systemctl edit " +
                                          unit + "', or choose --reload process:NAME");
  const std::string result = about.reload();
  if (result == "done") return;
  if (result == "failed")
    throw Error(Remedy::ask_operator, unit + " failed to reload: 'journalctl -u " + unit + "' says why");
  throw Error(Remedy::retry, "the reload of " + unit + " ended before it was done: " + printable(result, 40));
}

void restart_service(const std::string& unit, Duration timeout, const std::stop_token& stop) {
  const std::string result = Conversation(unit, timeout, stop).restart();
  if (result == "done") return;
  throw Error(
      result == "failed" ? Remedy::ask_operator : Remedy::retry,
      "the restart of " + unit + " ended as " + printable(result, 40) + ": 'journalctl -u " + unit + "' says why");
}

pid_t main_pid_of_service(const std::string& unit, Duration timeout, const std::stop_token& stop) {
  return Conversation(unit, timeout, stop).main_pid();
}

}  // namespace acme_agent
