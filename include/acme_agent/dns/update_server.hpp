#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/dns/resolver.hpp>
#include <acme_agent/dns/tsig_key.hpp>

namespace acme_agent {

/// The primary of one or more zones, which takes updates (RFC 2136), signed if there is a key (RFC 8945).
class UpdateServer {
 public:
  /// `others` is asked for what the primary does not know. `port` is that of a zone's other servers.
  UpdateServer(Endpoint address, std::optional<TsigKey> key, std::function<Resolver()> others, const Clock& clock,
               std::uint16_t port = 53);

  /// Address and key in a few words, which are the same for the same ones; nothing of the secret can be seen.
  std::string describe() const;

  /// Where a record for some name goes.
  struct Place {
    std::string name;  ///< That name, or where a CNAME leads.
    std::string zone;
  };

  /// Throws Error if it is in no zone of the primary.
  Place place_of(const std::string& name, const std::stop_token& stop) const;

  /// Throws Error, with what to do, if the primary does not take it.
  void change_txt(const Place& place, const std::string& text, TxtChange change, const std::stop_token& stop) const;

  /// All that serve the zone, as the primary has it.
  std::vector<NameServer> servers_of(const Place& place, const std::stop_token& stop) const;

 private:
  Resolver primary(const std::stop_token& stop) const;

  const Endpoint address_;
  const std::optional<TsigKey> key_;
  const std::function<Resolver()> others_;
  const Clock& clock_;
  const std::uint16_t port_;
};

}  // namespace acme_agent
