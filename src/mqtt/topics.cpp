#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/digest.hpp>
#include <acme_agent/mqtt/topics.hpp>

namespace acme_agent {
namespace {

using nlohmann::json;

std::string base_of(const std::string& instance, const std::string& name) {
  return "acme-agent/" + instance + "/cert/" + name;
}

std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json time_or_null(const std::optional<TimePoint>& time) {
  return time ? json(format_rfc3339(*time)) : json(nullptr);
}

json text_or_null(const std::string& text) {
  return text.empty() ? json(nullptr) : json(printable(text));
}

std::string word_of(Urgency urgency) {
  constexpr std::array<const char*, 6> words = {"expired", "missing", "placeholder", "failing", "not_served", "good"};
  return words.at(static_cast<std::size_t>(urgency));
}

json state_of(const Report& report, TimePoint now) {
  json state{{"state", word_of(report.urgency)},
             {"problem", report.exit_code() != 0},
             {"not_before", nullptr},
             {"not_after", nullptr},
             {"days_left", nullptr},
             {"serial", nullptr},
             {"sha256", nullptr},
             {"key_type", nullptr},
             {"issuer", nullptr},
             {"chain_top", text_or_null(report.chain_top)},
             {"next_attempt", time_or_null(report.next_attempt)},
             {"renew_window", nullptr},
             {"served_ok", report.deployed},
             {"last_attempt", time_or_null(report.last_attempt)},
             {"last_result", report.last_attempt ? json(report.failures == 0 ? "ok" : "failed") : json(nullptr)},
             {"last_error",
              text_or_null(report.failures > 0 || report.deployed ? report.last_error : report.deployment_error)},
             {"failures", report.failures}};
  if (report.leaf) {
    const Report::Leaf& leaf = *report.leaf;
    state["not_before"] = format_rfc3339(leaf.validity.not_before);
    state["not_after"] = format_rfc3339(leaf.validity.not_after);
    state["days_left"] = std::chrono::floor<std::chrono::days>(leaf.validity.not_after - now).count();
    state["serial"] = leaf.serial;
    state["sha256"] = leaf.fingerprint_sha256;
    if (leaf.key_type) state["key_type"] = to_string(*leaf.key_type);
    state["issuer"] = printable(leaf.issuer);
  }
  if (report.renewal)
    state["renew_window"] = {{"start", format_rfc3339(report.renewal->start)},
                             {"end", format_rfc3339(report.renewal->end)}};
  return state;
}

/// Home Assistant takes letters, digits, "_" and "-" in an id: the hash keeps a.b and a_b apart.
std::string id_of(const std::string& instance, const std::string& name) {
  return "acme_agent_" + instance_of(name) + "_" + to_hex(sha256(instance + "/" + name)).substr(0, 8);
}

/// Device discovery of Home Assistant (2024.11 and later).
json discovery_of(const Report& report, const std::string& version, const std::string& instance,
                  const std::string& id) {
  const auto component = [&id](const char* key, const char* name, const char* value, json more) {
    json one{{"p", "sensor"},
             {"unique_id", id + "_" + key},
             {"name", name},
             {"value_template", value},
             {"entity_category", "diagnostic"}};
    one.update(more);
    return one;
  };
  const json timestamp{{"device_class", "timestamp"}};
  const json problem{{"p", "binary_sensor"}, {"device_class", "problem"}};
  json components{
      {"expiry", component("expiry", "Expiry", "{{ value_json.not_after }}", timestamp)},
      {"next_attempt", component("next_attempt", "Next renewal", "{{ value_json.next_attempt }}", timestamp)},
      {"days_left", component("days_left", "Days left", "{{ value_json.days_left }}",
                              {{"device_class", "duration"}, {"unit_of_measurement", "d"}})},
      {"problem", component("problem", "Problem", "{{ 'ON' if value_json.problem else 'OFF' }}", problem)},
      {"state", component("state", "State", "{{ value_json.state }}", json::object())},
      {"last_error",
       component("last_error", "Last error", "{{ (value_json.last_error or 'none')[:250] }}", json::object())},
  };
  components["problem"].erase("entity_category");  // what the whole device is for
  return {{"dev",
           {{"ids", json::array({id})},
            {"name", "Certificate " + report.name},
            {"mf", "acme-agent"},
            {"mdl", "TLS certificate"},
            {"sw", version}}},
          {"o", {{"name", "acme-agent"}, {"sw", version}}},
          {"cmps", std::move(components)},
          {"availability_topic", status_topic(instance)},
          {"state_topic", base_of(instance, report.name) + "/state"},
          {"qos", 1}};
}

}  // namespace

std::string instance_of(const std::string& host) {
  std::string instance = host.substr(0, 64);
  std::replace_if(
      instance.begin(), instance.end(),
      [](char c) {
        return !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '_' && c != '-';
      },
      '_');
  return instance.empty() ? "agent" : instance;
}

std::string status_topic(const std::string& instance) {
  return "acme-agent/" + instance + "/status";
}

std::vector<std::string> retained_topics(const std::string& instance, const std::string& name) {
  return {base_of(instance, name) + "/state", "homeassistant/device/" + id_of(instance, name) + "/config"};
}

Retained retained_of(const Reports& reports, const std::string& instance) {
  Retained retained;
  for (const Report& report : reports.certificates) {
    const std::string id = id_of(instance, report.name);
    retained[base_of(instance, report.name) + "/state"] = dumped(state_of(report, reports.now));
    retained["homeassistant/device/" + id + "/config"] = dumped(discovery_of(report, reports.version, instance, id));
  }
  return retained;
}

std::vector<Happening> Happenings::since_last(const Reports& reports) {
  std::vector<Happening> events;
  std::map<std::string, Seen> seen;
  for (const Report& report : reports.certificates) {
    const Seen now{report.held ? report.leaf->fingerprint_sha256 : "", report.urgency, report.failures};
    const auto known = seen_.find(report.name);
    const auto tell = [&](const std::string& what, const std::string& detail) {
      events.push_back(
          {base_of(instance_, report.name) + "/event",
           dumped({{"event", what}, {"time", format_rfc3339(reports.now)}, {"detail", text_or_null(detail)}})});
    };
    const bool is_new = known == seen_.end();
    if (!first_ && (is_new || known->second.fingerprint != now.fingerprint) && !now.fingerprint.empty())
      tell("renewed", "");
    if (!first_ && now.failures > (is_new ? 0 : known->second.failures)) tell("failed", report.last_error);
    if (!first_ && !is_new && known->second.urgency != now.urgency)
      tell(word_of(now.urgency), now.urgency == Urgency::not_served ? report.deployment_error : "");
    seen[report.name] = now;
  }
  seen_ = std::move(seen);
  first_ = false;
  return events;
}

}  // namespace acme_agent
