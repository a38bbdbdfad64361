#include <utility>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/digest.hpp>
#include <acme_agent/dns/update_server.hpp>
#include <acme_agent/sys/tcp.hpp>

#include "exchange.hpp"
#include "tsig.hpp"

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr Duration lookup_timeout = 10s;
constexpr Duration update_timeout = 10s;  // a primary may write to a disk first

// RFC 8945 3
constexpr int bad_signature = 16;
constexpr int bad_key = 17;
constexpr int bad_time = 18;

std::string in_quotes(const std::string& text) {
  return "'" + printable(text, 300) + "'";
}

/// RFC 8945 5.2.3: with BADTIME comes the time of the server.
std::string clocks(const TsigRecord& tsig, TimePoint now) {
  if (tsig.other.size() != 6) return {};
  std::int64_t seconds = 0;
  for (const char octet : tsig.other) seconds = seconds << 8 | static_cast<unsigned char>(octet);
  constexpr std::int64_t year_9999 = 253402300799;
  if (seconds > year_9999) return {};
  return ": its clock says " + format_rfc3339(TimePoint(std::chrono::seconds(seconds))) + ", ours " +
         format_rfc3339(now);
}

/// Why the primary did not do it; nothing if it says that it did.
std::optional<Error> refusal(const DnsResponse& response, const UpdateServer::Place& place, const std::string& server,
                             const TsigKey* key, TimePoint now) {
  const auto refuse = [&](Remedy remedy, const std::string& why) {
    return Error(remedy, "the name server " + server + " did not change " + printable(place.name, 300) + ": " + why);
  };
  const std::string zone = printable(place.zone, 300);
  const std::string key_name = key != nullptr ? in_quotes(key->name) : "";
  if (response.tsig && key != nullptr) {
    switch (response.tsig->error) {
      case bad_signature:
        return refuse(Remedy::ask_operator, "it knows the key " + key_name + " with another secret (BADSIG): give " +
                                                "--dns-tsig-file the file that it has");
      case bad_key:
        return refuse(Remedy::ask_operator, "it does not know the key " + key_name + " for " +
                                                algorithm_name(key->hash) +
                                                " (BADKEY): give the key the name and the algorithm that it has there");
      case bad_time:
        return refuse(Remedy::retry, "its clock and ours are more than five minutes apart (BADTIME)" +
                                         clocks(*response.tsig, now) + "; set the one that is wrong");
      default:
        break;
    }
  }
  switch (response.code) {
    case dns_no_error:
      return std::nullopt;
    case dns_refused:
      return refuse(Remedy::ask_operator,
                    "it refuses (REFUSED): allow " +
                        (key != nullptr ? "the key " + key_name : "updates without a key, or give --dns-tsig-file,") +
                        " in the zone " + zone + " there (allow-update or update-policy of BIND, acl of Knot)");
    case dns_not_authoritative:
    case dns_not_in_zone:
      return refuse(Remedy::ask_operator, "it is not the primary of the zone " + zone + " (" +
                                              response_code_name(response.code) +
                                              "): give --dns-update the one that is");
    case dns_not_implemented:
      return refuse(Remedy::ask_operator, "it takes no updates (NOTIMP): use a name server that does, or --dns-hook");
    case dns_server_failure:
      return refuse(Remedy::retry,
                    "something failed there (SERVFAIL): its log says what, often that it may not write "
                    "the file of the zone " +
                        zone);
    default:
      return refuse(Remedy::retry, "it says " + response_code_name(response.code));
  }
}

}  // namespace

UpdateServer::UpdateServer(Endpoint address, std::optional<TsigKey> key, std::function<Resolver()> others,
                           const Clock& clock, std::uint16_t port)
    : address_(std::move(address)), key_(std::move(key)), others_(std::move(others)), clock_(clock), port_(port) {}

std::string UpdateServer::describe() const {
  const std::string text = "updates of " + address_.text();
  if (!key_) return text;
  constexpr std::size_t enough_to_differ = 4;
  const std::string digest = sha256(key_->secret.reveal()).substr(0, enough_to_differ);
  return text + " with " + algorithm_name(key_->hash) + " " + printable(key_->name, 300) + " " + to_hex(digest);
}

Resolver UpdateServer::primary(const std::stop_token& stop) const {
  std::vector<Endpoint> addresses;
  for (const std::string& address : resolve(address_.host, lookup_timeout, stop))
    addresses.push_back({address, address_.port});
  return Resolver(std::move(addresses), port_);
}

UpdateServer::Place UpdateServer::place_of(const std::string& name, const std::stop_token& stop) const {
  const Resolver asked = primary(stop);
  try {
    const DnsAnswer found = asked.locate(name, lookup_timeout, stop);
    return {found.name, found.zone};
  } catch (const Error& unknown_there) {
    // It may be a CNAME elsewhere that leads into a zone of the primary.
    std::string target = name;
    try {
      target = others_().ask(name, RecordType::txt, lookup_timeout, stop).name;
    } catch (const Error&) {
    }
    if (target == name)
      throw Error(unknown_there.remedy(),
                  "cannot find the zone of " + printable(name, 300) +
                      " at the name server of --dns-update, which has to be its primary: " + unknown_there.message());
    const DnsAnswer found = asked.locate(target, lookup_timeout, stop);
    return {found.name, found.zone};
  }
}

void UpdateServer::change_txt(const Place& place, const std::string& text, TxtChange change,
                              const std::stop_token& stop) const {
  const Deadline deadline(update_timeout);
  const std::uint16_t id = random_id();
  const std::string update = write_dns_update(id, place.zone, place.name, text, change);
  std::optional<SignedRequest> signed_update;
  if (key_) signed_update.emplace(update, *key_, clock_.now());
  const std::string& request = signed_update ? signed_update->message() : update;
  const DnsQuestion question{place.zone, static_cast<std::uint16_t>(RecordType::soa)};

  std::optional<Error> failure;
  const Resolver asked = primary(stop);
  for (const Endpoint& server : asked.servers()) {
    try {
      const DnsReply reply = exchange_by_tcp(server, request, question, deadline.left(), stop);
      failure = refusal(reply.response, place, server.text(), key_ ? &*key_ : nullptr, clock_.now());
      if (failure) break;
      if (signed_update) signed_update->check(reply.wire, reply.response, server.text(), clock_.now());
      return;
    } catch (const Error& error) {
      failure = error;
    }
  }
  throw *failure;
}

std::vector<NameServer> UpdateServer::servers_of(const Place& place, const std::stop_token& stop) const {
  return primary(stop).servers_of(place.zone, others_(), lookup_timeout, stop);
}

}  // namespace acme_agent
