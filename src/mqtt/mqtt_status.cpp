#include <dlfcn.h>
#include <mosquitto.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/mqtt/mqtt_status.hpp>
#include <acme_agent/mqtt/topics.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr int keepalive_seconds = 300;  // as long as it sleeps: what comes and what we publish wakes it
constexpr int identifier_rejected = 2;  // MQTT 3.1.1, 3.2.2.3
constexpr Duration longest_wait = 1min;
constexpr Duration longest_greeting = 1min;  // until the broker has answered
constexpr std::size_t most_events = 1000;    // while the broker is away
constexpr auto pause_between_repetitions = 10s;
constexpr int qos = 1;

/// What of libmosquitto is used.
class Mosquitto {
 public:
  Mosquitto() : library_(::dlopen("libmosquitto.so.1", RTLD_NOW)) {
    if (library_ == nullptr)
      throw Error(Remedy::ask_operator,
                  "libmosquitto is not installed here, and --mqtt needs it: install libmosquitto1");
    find(lib_init, "mosquitto_lib_init");
    find(create, "mosquitto_new");
    find(destroy, "mosquitto_destroy");
    find(threaded_set, "mosquitto_threaded_set");
    find(username_pw_set, "mosquitto_username_pw_set");
    find(will_set, "mosquitto_will_set");
    find(tls_set, "mosquitto_tls_set");
    find(int_option, "mosquitto_int_option");
    find(connect_callback_set, "mosquitto_connect_callback_set");
    find(message_callback_set, "mosquitto_message_callback_set");
    find(connect, "mosquitto_connect");
    find(disconnect, "mosquitto_disconnect");
    find(loop, "mosquitto_loop");
    find(publish, "mosquitto_publish");
    find(subscribe, "mosquitto_subscribe");
    find(strerror, "mosquitto_strerror");
    find(connack_string, "mosquitto_connack_string");
    lib_init();
  }

  decltype(&mosquitto_lib_init) lib_init = nullptr;
  decltype(&mosquitto_new) create = nullptr;
  decltype(&mosquitto_destroy) destroy = nullptr;
  decltype(&mosquitto_threaded_set) threaded_set = nullptr;
  decltype(&mosquitto_username_pw_set) username_pw_set = nullptr;
  decltype(&mosquitto_will_set) will_set = nullptr;
  decltype(&mosquitto_tls_set) tls_set = nullptr;
  decltype(&mosquitto_int_option) int_option = nullptr;
  decltype(&mosquitto_connect_callback_set) connect_callback_set = nullptr;
  decltype(&mosquitto_message_callback_set) message_callback_set = nullptr;
  decltype(&mosquitto_connect) connect = nullptr;
  decltype(&mosquitto_disconnect) disconnect = nullptr;
  decltype(&mosquitto_loop) loop = nullptr;
  decltype(&mosquitto_publish) publish = nullptr;
  decltype(&mosquitto_subscribe) subscribe = nullptr;
  decltype(&mosquitto_strerror) strerror = nullptr;
  decltype(&mosquitto_connack_string) connack_string = nullptr;

 private:
  template <class Function>
  void find(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(::dlsym(library_, name));
    if (function == nullptr)
      throw Error(Remedy::ask_operator, std::string("libmosquitto is too old for --mqtt, it has no ") + name);
  }

  void* const library_;  // stays for good
};

const Mosquitto& library() {
  static const Mosquitto loaded;
  return loaded;
}

struct Destroy {
  void operator()(mosquitto* handle) const noexcept { library().destroy(handle); }
};

void require(int result, const std::string& what) {
  if (result != MOSQ_ERR_SUCCESS)
    throw Error(Remedy::ask_operator, "--mqtt: " + what + ": " + library().strerror(result));
}

}  // namespace

std::string MqttBroker::text() const {
  const auto* address = std::get_if<Endpoint>(&place);
  if (address == nullptr) return "unix:" + std::get<std::filesystem::path>(place).string();
  return (tls ? "mqtts://" : "mqtt://") + address->text();
}

/// All that talks to libmosquitto: one thread, but for publish, which may be called from any.
class MqttStatus::Client {
 public:
  Client(MqttBroker broker, std::string instance, Log& log)
      : broker_(std::move(broker)),
        status_(status_topic(instance)),
        instance_(instance),
        happenings_(instance),
        log_(log) {
    handle_ = new_handle();
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }

  ~Client() {
    thread_.request_stop();
    {
      const std::lock_guard lock(mutex_);
      if (connected_) publish(status_, "offline", true);
      library().disconnect(handle_.get());
    }
    thread_.join();
  }

  void show(const Reports& reports) {
    Retained now = retained_of(reports, instance_);
    const std::lock_guard lock(mutex_);
    std::vector<Happening> events = happenings_.since_last(reports);
    if (connected_) {
      for (const auto& [topic, payload] : retained_)
        if (!now.contains(topic)) {
          publish(topic, "", true);
          gone_.insert(topic);  // and again, should it be lost with the connection
        }
      for (const auto& [topic, payload] : now)
        if (const auto known = retained_.find(topic); known == retained_.end() || known->second != payload)
          publish(topic, payload, true);
      for (const Happening& event : events) publish(event.topic, event.payload, false);
    } else {
      for (const auto& [topic, payload] : retained_)
        if (!now.contains(topic)) gone_.insert(topic);
      for (Happening& event : events) events_.push_back(std::move(event));
      while (events_.size() > most_events) events_.pop_front();
    }
    for (const auto& [topic, payload] : now) gone_.erase(topic);
    retained_ = std::move(now);
  }

  void forget(const std::string& name) {
    const std::lock_guard lock(mutex_);
    for (const std::string& topic : retained_topics(instance_, name)) {
      if (connected_) publish(topic, "", true);
      gone_.insert(topic);
    }
  }

 private:
  using Handle = std::unique_ptr<mosquitto, Destroy>;

  Handle new_handle() {
    Handle made(library().create(nullptr, true, this));  // an id of its own, nothing kept by the broker
    if (!made) throw Error(Remedy::retry, "--mqtt: no memory for a client");
    mosquitto* const handle = made.get();
    library().threaded_set(handle, true);
    if (!broker_.user.empty())
      require(library().username_pw_set(handle, broker_.user.c_str(), std::string(broker_.password.reveal()).c_str()),
              "user and password");
    require(library().will_set(handle, status_.c_str(), 7, "offline", qos, true), "the last will");
    if (broker_.tls && broker_.ca_bundle)
      require(library().tls_set(handle, broker_.ca_bundle->c_str(), nullptr, nullptr, nullptr, nullptr), "ca-bundle");
    else if (broker_.tls)
      require(library().int_option(handle, MOSQ_OPT_TLS_USE_OS_CERTS, 1), "the roots of the system");
    library().connect_callback_set(
        handle, [](mosquitto*, void* self, int code) noexcept { static_cast<Client*>(self)->connected(code); });
    library().message_callback_set(handle, [](mosquitto*, void* self, const mosquitto_message* message) noexcept {
      static_cast<Client*>(self)->heard(*message);
    });
    return made;
  }

  void run(const std::stop_token& stop) {
    Duration wait = 1s;
    while (!stop.stop_requested()) {
      int result = connect();
      const auto began = std::chrono::steady_clock::now();
      const auto patience = began + longest_greeting;
      while (result == MOSQ_ERR_SUCCESS && !is_connected() && !stop.stop_requested() &&
             std::chrono::steady_clock::now() < patience)
        result = library().loop(handle_.get(), static_cast<int>(longest_greeting.count()), 1);
      // Once connected, a stop ends with our disconnect, behind what is still to be sent.
      while (result == MOSQ_ERR_SUCCESS && is_connected())
        result = library().loop(handle_.get(), keepalive_seconds * 1000, 1);
      bool was_connected = false;
      {
        const std::lock_guard lock(mutex_);
        was_connected = std::exchange(connected_, false);
      }
      if (stop.stop_requested()) return;
      if (was_connected) {
        const bool soon = std::chrono::steady_clock::now() - began < longest_wait;
        ended_soon_ = soon ? ended_soon_ + 1 : 0;
        if (!soon) wait = 1s;
        if (is_futile())
          complain("it ends each connection soon after we publish: its log says why (a max_packet_size, say)");
        else
          log_.info("lost the connection to " + broker_.text() + ", and comes back to it");
      } else {
        complain(refusal_.empty() ? why(result) : std::exchange(refusal_, ""));
      }
      std::unique_lock lock(waiting_);
      ended_.wait_for(lock, stop, wait, [] { return false; });
      wait = std::min<Duration>(2 * wait, longest_wait);
    }
  }

  bool is_connected() {
    const std::lock_guard lock(mutex_);
    return connected_;
  }

  /// What the library still has for the broker goes with the old handle, as all of it is said again: a broker that ends
  /// each connection before it has acknowledged anything would make it grow for ever.
  int connect() {
    try {
      Handle fresh = new_handle();
      const std::lock_guard lock(mutex_);
      handle_.swap(fresh);
    } catch (const Error& error) {
      refusal_ = error.message();
      return MOSQ_ERR_UNKNOWN;
    }
    errno = 0;
    const auto* address = std::get_if<Endpoint>(&broker_.place);
    if (address != nullptr)
      return library().connect(handle_.get(), address->host.c_str(), address->port, keepalive_seconds);
    return library().connect(handle_.get(), std::get<std::filesystem::path>(broker_.place).c_str(), 0,
                             keepalive_seconds);
  }

  /// Not by chance, as when a broker is started anew.
  bool is_futile() const { return ended_soon_ >= 3; }

  static std::string why(int result) {
    if (result == MOSQ_ERR_SUCCESS)
      return "it does not answer: is a broker there, and does that port speak TLS or not?";
    return result == MOSQ_ERR_ERRNO && errno != 0 ? std::strerror(errno) : library().strerror(result);
  }

  /// Once, as it may last: the broker is told about when it is there.
  void complain(const std::string& reason) {
    const std::string complaint = "cannot publish to " + broker_.text() + ": " + printable(reason);
    if (complaint != complaint_) log_.warning(complaint + "; tried again within a minute, renewals go on");
    complaint_ = complaint;
  }

  void connected(int code) noexcept try {
    if (code != 0) {
      refusal_ = library().connack_string(code);
      if (code == identifier_rejected)  // Ours is empty, for the broker to choose one.
        refusal_ = "it rejects our identifier: is its max_keepalive below " + std::to_string(keepalive_seconds) +
                   ", or its allow_zero_length_clientid false? change that";
      return;
    }
    if (!is_futile()) {
      complaint_.clear();
      log_.info("publishes to " + broker_.text());
    }
    const std::lock_guard lock(mutex_);
    connected_ = true;
    library().subscribe(handle_.get(), nullptr, "homeassistant/status", qos);
    publish(status_, "online", true);
    for (const std::string& topic : gone_) publish(topic, "", true);
    for (const auto& [topic, payload] : retained_) publish(topic, payload, true);
    for (const Happening& event : std::exchange(events_, {})) publish(event.topic, event.payload, false);
  } catch (const std::exception&) {  // no memory: what is not told now is told at the next look
  }

  /// Home Assistant has started: it hears everything again, also from a broker that retains nothing.
  void heard(const mosquitto_message& message) noexcept {
    const std::string_view payload(static_cast<const char*>(message.payload),
                                   static_cast<std::size_t>(std::max(message.payloadlen, 0)));
    const auto now = std::chrono::steady_clock::now();
    if (message.retain || payload != "online" || now < heard_ + pause_between_repetitions) return;
    heard_ = now;
    const std::lock_guard lock(mutex_);
    for (const auto& [topic, content] : retained_) publish(topic, content, true);
  }

  void publish(const std::string& topic, const std::string& payload, bool retain) const noexcept {
    library().publish(handle_.get(), nullptr, topic.c_str(), static_cast<int>(payload.size()), payload.data(), qos,
                      retain);
  }

  const MqttBroker broker_;
  const std::string status_;
  const std::string instance_;
  Happenings happenings_;
  Log& log_;
  Handle handle_;
  std::mutex mutex_;  // of what follows
  bool connected_ = false;
  Retained retained_;                ///< As it should be at the broker.
  std::set<std::string> gone_;       ///< What it should no longer have.
  std::deque<Happening> events_;     ///< That it has not heard.
  std::string complaint_, refusal_;  // of the thread's
  int ended_soon_ = 0;               ///< Connections in a row. Of the thread's.
  std::chrono::steady_clock::time_point heard_{};
  std::mutex waiting_;
  std::condition_variable_any ended_;
  std::jthread thread_;
};

MqttStatus::MqttStatus(MqttBroker broker, std::string instance, Log& log)
    : client_(std::make_unique<Client>(std::move(broker), std::move(instance), log)) {}

MqttStatus::~MqttStatus() = default;

void MqttStatus::forget(const std::string& name) {
  client_->forget(name);
}

void MqttStatus::show(const Reports& reports) {
  client_->show(reports);
}

}  // namespace acme_agent
