#pragma once

#include <string>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/dns/message.hpp>
#include <acme_agent/dns/tsig_key.hpp>

namespace acme_agent {

/// A request with the signature that RFC 8945 wants at its end, and what its answer must be signed with.
class SignedRequest {
 public:
  SignedRequest(const std::string& message, const TsigKey& key, TimePoint now);

  const std::string& message() const { return message_; }

  /// Throws Error unless `response`, read from `wire`, was made by who knows the key, for this very request.
  void check(const std::string& wire, const DnsResponse& response, const std::string& server, TimePoint now) const;

 private:
  const TsigKey& key_;
  std::string mac_;
  std::string message_;
};

}  // namespace acme_agent
