#pragma once

#include <string>

#include <acme_agent/status/report.hpp>

namespace acme_agent {

/// The document of `acme-agent status --json`.
std::string as_json(const Reports& reports);

/// A few lines for each certificate, for people.
std::string as_text(const Reports& reports);

/// One line for a health check: "ok", or how many certificates are not, and the most urgent of them.
std::string as_health(const Reports& reports);

/// The text format of Prometheus.
std::string as_metrics(const Reports& reports);

/// A page in HTML that needs nothing else: certificates on their time lines, the most urgent first, a few hundred at
/// most. Whatever comes from elsewhere is escaped.
std::string as_page(const Reports& reports);
/// What a browser needs to be allowed for it (Content-Security-Policy).
std::string policy_of_page();

}  // namespace acme_agent
