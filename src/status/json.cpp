#include <nlohmann/json.hpp>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/status/faces.hpp>

namespace acme_agent {
namespace {

nlohmann::json time_or_null(const std::optional<TimePoint>& time) {
  return time ? nlohmann::json(format_rfc3339(*time)) : nlohmann::json(nullptr);
}

nlohmann::json text_or_null(const std::string& text) {
  return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
}

nlohmann::json to_json(const Report& report) {
  nlohmann::json json{
      {"name", report.name},
      {"domains", report.domains},
      {"server", report.server},
      {"stands_in_for", text_or_null(report.stands_in_for)},
      {"state", report.state},
      {"not_before", nullptr},
      {"not_after", nullptr},
      {"serial", nullptr},
      {"fingerprint_sha256", nullptr},
      {"key_type", nullptr},
      {"issuer", nullptr},
      {"chain_top", text_or_null(report.chain_top)},
      {"files", nlohmann::json::object()},
      {"next_attempt", time_or_null(report.next_attempt)},
      {"reason", to_string(report.reason)},
      {"last_attempt", time_or_null(report.last_attempt)},
      {"last_error", text_or_null(report.last_error)},
      {"failures", report.failures},
      {"deploy",
       {{"ok", report.deployed},
        {"next_attempt", time_or_null(report.next_deployment)},
        {"last_error", text_or_null(report.deployment_error)}}},
      {"served", nlohmann::json::array()},
      {"renewal_info", nullptr},
      {"servers", nlohmann::json::array()},
  };
  if (report.leaf) {
    json["not_before"] = format_rfc3339(report.leaf->validity.not_before);
    json["not_after"] = format_rfc3339(report.leaf->validity.not_after);
    json["serial"] = report.leaf->serial;
    json["fingerprint_sha256"] = report.leaf->fingerprint_sha256;
    if (report.leaf->key_type) json["key_type"] = to_string(*report.leaf->key_type);
    json["issuer"] = report.leaf->issuer;
    for (const char* file : {"cert", "chain", "fullchain", "privkey", "combined"})
      json["files"][file] = report.folder / (std::string(file) + ".pem");
  }
  for (const Served& served : report.served)
    json["served"].push_back({{"endpoint", served.endpoint},
                              {"address", served.address},
                              {"ok", served.ok},
                              {"checked", format_rfc3339(served.checked)},
                              {"detail", served.detail}});
  if (report.advice) {
    const std::optional<Window>& window = report.advice->window;
    json["renewal_info"] = {{"start", window ? nlohmann::json(format_rfc3339(window->start)) : nullptr},
                            {"end", window ? nlohmann::json(format_rfc3339(window->end)) : nullptr},
                            {"explanation_url", text_or_null(report.advice->explanation_url)},
                            {"next_check", time_or_null(report.advice->next_check)}};
  }
  for (const auto& [server, standing] : report.servers)
    json["servers"].push_back({{"server", server},
                               {"ladder_step", standing.step},
                               {"next_attempt", time_or_null(standing.next_attempt)},
                               {"retry_after", time_or_null(standing.not_before)},
                               {"turn", time_or_null(standing.turn)}});
  return json;
}

}  // namespace

std::string as_json(const Reports& reports) {
  nlohmann::json all{{"version", reports.version}, {"certificates", nlohmann::json::array()}};
  for (const Report& report : reports.certificates) all["certificates"].push_back(to_json(report));
  return all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace acme_agent
