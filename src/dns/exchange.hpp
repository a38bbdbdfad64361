#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/dns/message.hpp>

namespace acme_agent {

/// How much is left of a time-out.
class Deadline {
 public:
  explicit Deadline(Duration timeout) : at_(std::chrono::steady_clock::now() + timeout) {}

  Duration left() const { return std::chrono::ceil<Duration>(at_ - std::chrono::steady_clock::now()); }
  bool passed() const { return left() <= Duration{0}; }

 private:
  std::chrono::steady_clock::time_point at_;
};

struct DnsReply {
  std::string wire;
  DnsResponse response;
};

std::uint16_t random_id();

/// Sends `request` to a numeric address and takes the first answer to it; what else arrives is left aside (RFC 5452).
/// Throws Error (retry) if none comes in time, Stopped on a stop.
DnsReply exchange_by_udp(const Endpoint& server, const std::string& request, const DnsQuestion& question,
                         Duration timeout, const std::stop_token& stop);

/// The same by TCP, where an answer to something else is an Error.
DnsReply exchange_by_tcp(const Endpoint& server, const std::string& request, const DnsQuestion& question,
                         Duration timeout, const std::stop_token& stop);

/// By UDP, and by TCP where the answer does not fit.
DnsResponse ask_server(const Endpoint& server, const std::string& name, RecordType type, Duration timeout,
                       const std::stop_token& stop);

}  // namespace acme_agent
