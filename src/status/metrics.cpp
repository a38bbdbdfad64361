#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <set>
#include <sstream>
#include <utility>

#include <acme_agent/status/faces.hpp>

namespace acme_agent {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using Labels = std::vector<ClientMetric::Label>;

class Gauges {
 public:
  Gauges(const char* name, const char* help) : family_{name, help, prometheus::MetricType::Gauge, {}} {}

  void add(Labels labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    family_.metric.push_back(std::move(metric));
  }
  void add(Labels labels, const std::optional<TimePoint>& time) {
    if (time) add(std::move(labels), std::chrono::duration<double>(time->time_since_epoch()).count());
  }

  MetricFamily family_;
};

Labels of(const Report& report) {
  return {{"certificate", report.name}};
}

std::string key_type_of(const Report& report) {
  return report.leaf && report.leaf->key_type ? std::string(to_string(*report.leaf->key_type)) : "";
}

}  // namespace

std::string as_metrics(const Reports& reports) {
  Gauges build("acme_agent_build_info", "1; the version of the program.");
  Gauges info("acme_agent_certificate_info", "1; what the certificate is.");
  Gauges good("acme_agent_certificate_good",
              "Whether it is issued by its server, in date, not overdue, and served where that is looked at.");
  Gauges begin("acme_agent_certificate_not_before_timestamp_seconds", "When it begins to be valid.");
  Gauges expiry("acme_agent_certificate_expiry_timestamp_seconds", "When it ends.");
  Gauges next("acme_agent_certificate_next_attempt_timestamp_seconds", "When the agent renews it or tries again.");
  Gauges last("acme_agent_certificate_last_attempt_timestamp_seconds", "When the agent tried to get it last.");
  Gauges success("acme_agent_certificate_last_attempt_success", "Whether that attempt brought one.");
  Gauges failures("acme_agent_certificate_failures", "How many attempts in a row have failed.");
  Gauges deployed("acme_agent_certificate_deployed",
                  "Whether it is in the broker's folder, and served where that is looked at.");
  Gauges served("acme_agent_listener_serves_certificate", "Whether the listener showed it when it was looked at last.");
  Gauges checked("acme_agent_listener_checked_timestamp_seconds", "When the listener was looked at last.");

  build.add({{"version", reports.version}}, 1);
  for (const Report& report : reports.certificates) {
    info.add({{"certificate", report.name},
              {"state", report.state},
              {"server", report.server},
              {"key_type", key_type_of(report)}},
             1);
    good.add(of(report), report.exit_code() == 0);
    if (report.leaf) {
      begin.add(of(report), report.leaf->validity.not_before);
      expiry.add(of(report), report.leaf->validity.not_after);
    }
    next.add(of(report), report.next_attempt);
    last.add(of(report), report.last_attempt);
    if (report.last_attempt) success.add(of(report), report.failures == 0);
    failures.add(of(report), report.failures);
    deployed.add(of(report), report.deployed);
    std::set<std::pair<std::string, std::string>> listeners;  // one with the same labels twice would spoil all
    for (const Served& one : report.served) {
      if (!listeners.emplace(one.endpoint, one.address).second) continue;
      const Labels labels{{"certificate", report.name}, {"listener", one.endpoint}, {"address", one.address}};
      served.add(labels, one.ok);
      checked.add(labels, one.checked);
    }
  }

  std::vector<MetricFamily> families;
  for (Gauges* gauges :
       {&build, &info, &good, &begin, &expiry, &next, &last, &success, &failures, &deployed, &served, &checked})
    if (!gauges->family_.metric.empty()) families.push_back(std::move(gauges->family_));
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return std::move(text).str();
}

}  // namespace acme_agent
