#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/dns/message.hpp>

namespace acme_agent {

/// What name servers say of one name and type.
struct DnsAnswer {
  std::vector<DnsRecord> records;  ///< Of the type asked for; may be none.
  bool name_exists = true;         ///< False: there is no such name, whatever the type (NXDOMAIN).
  std::string name;                ///< Where the CNAMEs led.
  std::string zone;                ///< The zone of `name`, where the answer tells it; else empty.
};

/// A server of a zone, at one of its addresses.
struct NameServer {
  std::string name;
  Endpoint address;  ///< Numeric.

  /// "ns1.mydyn.example (192.0.2.1:53)"
  std::string text() const;
};

/// Asks name servers: UDP from a port and with an id that nobody can guess, TCP where an answer does not fit; each
/// server twice, 2 s each time. Answers are believed as far as their server is: nothing is validated (DNSSEC).
///
/// All throw Error (retry) if no server gives an answer within `timeout`, and Stopped at once on a stop.
class Resolver {
 public:
  /// Numeric addresses, in the order of preference. Other servers of zones are asked at `port`.
  explicit Resolver(std::vector<Endpoint> servers, std::uint16_t port = 53);

  /// The name servers of a resolv.conf(5); this machine if it names none.
  static Resolver of_system(const std::filesystem::path& file = "/etc/resolv.conf");

  const std::vector<Endpoint>& servers() const { return servers_; }

  DnsAnswer ask(const std::string& name, RecordType type, Duration timeout, const std::stop_token& stop) const;

  /// Where records for `name` really are: the name that its CNAMEs lead to, in `name` and `zone`.
  DnsAnswer locate(const std::string& name, Duration timeout, const std::stop_token& stop) const;

  /// All that serve a zone, each at each of its addresses. `others` is asked for addresses that these servers do not
  /// know.
  std::vector<NameServer> servers_of(const std::string& zone, const Resolver& others, Duration timeout,
                                     const std::stop_token& stop) const;

 private:
  DnsResponse ask_in_turn(const std::string& name, RecordType type, Duration timeout,
                          const std::stop_token& stop) const;

  std::vector<Endpoint> servers_;
  std::uint16_t port_;
};

/// Whether this one server shows that text at that name now. Throws Error (retry) if it gives no answer.
bool shows_txt(const NameServer& server, const std::string& name, const std::string& text, Duration timeout,
               const std::stop_token& stop);

}  // namespace acme_agent
