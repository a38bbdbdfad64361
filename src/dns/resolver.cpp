#include <arpa/inet.h>

#include <algorithm>
#include <optional>
#include <utility>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/dns/resolver.hpp>
#include <acme_agent/sys/file.hpp>

#include "exchange.hpp"

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr Duration patience_with_one = 2s;
constexpr int rounds = 2;
constexpr int longest_chain = 8;           // of CNAMEs
constexpr std::size_t most_resolvers = 3;  // as the C library has it
constexpr std::size_t most_servers = 13;   // of a zone
constexpr std::size_t most_addresses = 8;  // of one server

std::string question_text(const std::string& name, RecordType type) {
  return to_string(type) + " of " + printable(name.empty() ? "the root" : name, 300);
}

/// Follows what the response has of the chain of CNAMEs; true if that is more than nothing.
bool follow(const DnsResponse& response, std::string& name) {
  bool moved = false;
  for (int hop = 0; hop < longest_chain; ++hop) {
    const auto alias = std::find_if(response.answers.begin(), response.answers.end(), [&](const DnsRecord& record) {
      return record.type == RecordType::cname && record.name == name;
    });
    if (alias == response.answers.end()) break;
    name = alias->value;
    moved = true;
  }
  return moved;
}

std::string zone_in(const DnsResponse& response, const std::string& name) {
  for (const auto* section : {&response.answers, &response.authorities})
    for (const DnsRecord& record : *section)
      if (record.type == RecordType::soa && in_zone(name, record.name)) return record.name;
  return {};
}

/// Who is not asked to look further says who may know (RFC 1034 4.3.2).
bool is_referral(const DnsResponse& response) {
  const auto is_ns = [](const DnsRecord& record) { return record.type == RecordType::ns; };
  return !response.authoritative && response.answers.empty() && !response.authorities.empty() &&
         std::all_of(response.authorities.begin(), response.authorities.end(), is_ns);
}

bool is_numeric(const std::string& address) {
  in6_addr ignored{};
  const std::string without_scope = address.substr(0, address.find('%'));
  return ::inet_pton(AF_INET, address.c_str(), &ignored) == 1 ||
         ::inet_pton(AF_INET6, without_scope.c_str(), &ignored) == 1;
}

}  // namespace

std::string NameServer::text() const {
  return printable(name, 300) + " (" + address.text() + ")";
}

Resolver::Resolver(std::vector<Endpoint> servers, std::uint16_t port) : servers_(std::move(servers)), port_(port) {}

Resolver Resolver::of_system(const std::filesystem::path& file) {
  std::vector<Endpoint> servers;
  if (const std::optional<Secret> text = read_file(file)) {
    for (const std::string& line : split(text->reveal(), '\n')) {
      const std::size_t end = line.find_first_of(" \t");
      if (line.substr(0, end) != "nameserver" || end == std::string::npos) continue;
      const std::string address(trim(line.substr(end)));
      if (is_numeric(address) && servers.size() < most_resolvers) servers.push_back({address, 53});
    }
  }
  if (servers.empty()) servers.push_back({"127.0.0.1", 53});
  return Resolver(std::move(servers));
}

DnsResponse Resolver::ask_in_turn(const std::string& name, RecordType type, Duration timeout,
                                  const std::stop_token& stop) const {
  const Deadline deadline(timeout);
  std::string failure = "no name server gave an answer within " + describe(timeout);
  for (int round = 0; round < rounds; ++round) {
    for (const Endpoint& server : servers_) {
      if (deadline.passed()) break;
      try {
        DnsResponse response = ask_server(server, name, type, std::min(patience_with_one, deadline.left()), stop);
        const bool answers = response.code == dns_no_error || response.code == dns_no_such_name;
        if (answers && !is_referral(response)) return response;
        failure = "the name server " + server.text() +
                  (answers ? " refers to others" : " says " + response_code_name(response.code));
      } catch (const Error& error) {
        failure = error.message();
      }
    }
  }
  throw Error(Remedy::retry, "cannot look up the " + question_text(name, type) + ": " + failure);
}

DnsAnswer Resolver::ask(const std::string& name, RecordType type, Duration timeout, const std::stop_token& stop) const {
  const Deadline deadline(timeout);
  DnsAnswer answer;
  answer.name = name;
  for (int hop = 0; hop < longest_chain; ++hop) {
    const DnsResponse response = ask_in_turn(answer.name, type, deadline.left(), stop);
    const bool moved = follow(response, answer.name);
    answer.zone = zone_in(response, answer.name);
    answer.name_exists = response.code != dns_no_such_name;
    std::copy_if(response.answers.begin(), response.answers.end(), std::back_inserter(answer.records),
                 [&](const DnsRecord& record) { return record.type == type && record.name == answer.name; });
    if (!moved || !answer.records.empty() || !answer.name_exists || !answer.zone.empty()) return answer;
  }
  throw Error(Remedy::retry,
              "cannot look up the " + question_text(name, type) + ": too many CNAMEs, one behind another");
}

DnsAnswer Resolver::locate(const std::string& name, Duration timeout, const std::stop_token& stop) const {
  const Deadline deadline(timeout);
  DnsAnswer answer = ask(name, RecordType::soa, deadline.left(), stop);
  std::optional<std::string> above = parent_of(answer.name);
  while (answer.zone.empty() && above) {
    answer.zone = ask(*above, RecordType::soa, deadline.left(), stop).zone;
    if (!in_zone(answer.name, answer.zone)) answer.zone.clear();  // the name above is a CNAME to elsewhere
    above = parent_of(*above);
  }
  if (answer.zone.empty())
    throw Error(Remedy::retry,
                "cannot find the zone of " + printable(name, 300) + ": no name above it has an SOA record");
  return answer;
}

std::vector<NameServer> Resolver::servers_of(const std::string& zone, const Resolver& others, Duration timeout,
                                             const std::stop_token& stop) const {
  const Deadline deadline(timeout);
  const auto addresses_of = [&](const std::string& name, RecordType type) {
    try {
      return ask(name, type, deadline.left(), stop).records;
    } catch (const Error&) {
      return others.ask(name, type, deadline.left(), stop).records;
    }
  };
  std::vector<DnsRecord> names = ask(zone, RecordType::ns, timeout, stop).records;
  if (names.size() > most_servers) names.resize(most_servers);
  std::vector<NameServer> found;
  for (const DnsRecord& name : names) {
    for (const RecordType type : {RecordType::a, RecordType::aaaa}) {
      std::vector<DnsRecord> addresses = addresses_of(name.value, type);
      if (addresses.size() > most_addresses) addresses.resize(most_addresses);
      for (const DnsRecord& address : addresses) found.push_back({name.value, {address.value, port_}});
    }
  }
  if (found.empty())
    throw Error(Remedy::retry, "the zone " + printable(zone, 300) + " has no name server with an address");
  return found;
}

bool shows_txt(const NameServer& server, const std::string& name, const std::string& text, Duration timeout,
               const std::stop_token& stop) {
  const DnsResponse response = ask_server(server.address, name, RecordType::txt, timeout, stop);
  return std::any_of(response.answers.begin(), response.answers.end(), [&](const DnsRecord& record) {
    return record.type == RecordType::txt && record.name == name && record.value == text;
  });
}

}  // namespace acme_agent
