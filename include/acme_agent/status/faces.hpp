#pragma once

#include <string>

#include <acme_agent/status/report.hpp>

namespace acme_agent {

/// The document of `acme-agent status --json`.
std::string as_json(const Reports& reports);

/// A few lines for each certificate, for people.
std::string as_text(const Reports& reports);

}  // namespace acme_agent
