#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <acme_agent/acme/resources.hpp>
#include <acme_agent/base/clock.hpp>
#include <acme_agent/net/transport.hpp>

namespace acme_agent {

bool succeeded(const Response& response);

/// What the header Retry-After says, if it is there and says anything.
std::optional<TimePoint> retry_after(const Response& response, const Clock& clock);

/// The targets of the Link headers with this relation (RFC 8288).
std::vector<std::string> links(const Response& response, std::string_view relation);

/// Why the server did not do what `url` was asked for. Without a problem document it is one that says nothing but its
/// status (RFC 9457 4.2.1).
ProblemError refusal(const Response& response, const std::string& url, const Clock& clock);

}  // namespace acme_agent
