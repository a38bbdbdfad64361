#include <arpa/inet.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include <acme_agent/base/text.hpp>
#include <acme_agent/dns/advice.hpp>

#include "exchange.hpp"

namespace acme_agent {
namespace {

constexpr std::size_t most_names = 8;  // there are a hundred in an order, and few words in a log line

using Sentences = std::vector<std::string>;

/// What everybody needs to know to look at one name.
struct Look {
  const Resolver& resolver;
  const std::string& challenge;
  const std::vector<std::string>& issuers;
  const std::vector<std::string>& own_addresses;
  const Deadline& deadline;
  const std::stop_token& stop;

  DnsAnswer ask(const std::string& name, RecordType type) const {
    return resolver.ask(name, type, deadline.left(), stop);
  }
};

/// An IPv4 address that nobody reaches from elsewhere (RFC 1918, RFC 6598, RFC 1122, RFC 3927).
bool is_private(const std::string& address) {
  in_addr parsed{};
  if (::inet_pton(AF_INET, address.c_str(), &parsed) != 1) return false;
  const std::uint32_t bits = ntohl(parsed.s_addr);
  const auto within = [bits](std::uint32_t network, int length) {
    return bits >> (32 - length) == network >> (32 - length);
  };
  return within(0x0A000000, 8) || within(0xAC100000, 12) || within(0xC0A80000, 16) || within(0x64400000, 10) ||
         within(0x7F000000, 8) || within(0xA9FE0000, 16) || bits == 0;
}

void explain_addresses(const Look& look, const std::string& name, Sentences& sentences) {
  const DnsAnswer four = look.ask(name, RecordType::a);
  if (!four.name_exists) {
    sentences.push_back("there is no " + name + " in the DNS");
    return;
  }
  const DnsAnswer six = look.ask(name, RecordType::aaaa);
  if (four.records.empty() && six.records.empty()) sentences.push_back(name + " has no A or AAAA record");
  for (const DnsRecord& record : four.records)
    if (is_private(record.value))
      sentences.push_back("the A record of " + name + " says " + record.value +
                          ", which only your own network can reach");
  // Behind a router IPv4 addresses are others' as a rule; IPv6 addresses are not.
  if (look.own_addresses.empty()) return;
  for (const DnsRecord& record : six.records)
    if (std::find(look.own_addresses.begin(), look.own_addresses.end(), record.value) == look.own_addresses.end())
      sentences.push_back("the AAAA record of " + name + " says " + record.value +
                          ", which is none of this machine's addresses");
}

/// RFC 8659 4.2: what comes before the first semicolon.
std::string issuer_in(std::string_view value) {
  return std::string(trim(value.substr(0, value.find(';'))));
}

/// RFC 8657 4: false if the record has a list of methods that lacks this one.
bool allows_method(std::string_view value, const std::string& challenge) {
  constexpr std::string_view key = "validationmethods=";
  for (const std::string& parameter : split(value, ';')) {
    if (!parameter.starts_with(key)) continue;
    const std::vector<std::string> methods = split(std::string_view(parameter).substr(key.size()), ',');
    return std::find(methods.begin(), methods.end(), challenge) != methods.end();
  }
  return true;
}

void explain_caa(const Look& look, const Identifier& identifier, const std::string& base, Sentences& sentences) {
  DnsAnswer found;
  std::optional<std::string> owner = base;  // RFC 8659 3: the first one upwards that has any counts
  while (owner && !owner->empty()) {
    found = look.ask(*owner, RecordType::caa);
    if (!found.records.empty()) break;
    owner = parent_of(*owner);
  }
  const std::vector<DnsRecord>& records = found.records;
  const auto has = [&records](std::string_view tag) {
    return std::any_of(records.begin(), records.end(), [&](const DnsRecord& record) { return record.tag == tag; });
  };
  for (const DnsRecord& record : records)
    if (record.critical && record.tag != "issue" && record.tag != "issuewild" && record.tag != "iodef")
      sentences.push_back("the CAA of " + *owner + " has a critical '" + printable(record.tag, 40) +
                          "', which no certificate authority may pass over");
  const std::string_view tag = identifier.wildcard() && has("issuewild") ? "issuewild" : "issue";
  if (look.issuers.empty() || !has(tag)) return;
  std::vector<std::string> allowed;
  bool by_another_method = false;
  for (const DnsRecord& record : records) {
    if (record.tag != tag) continue;
    const std::string issuer = issuer_in(record.value);
    if (std::find(look.issuers.begin(), look.issuers.end(), issuer) == look.issuers.end()) {
      if (!issuer.empty()) allowed.push_back(printable(issuer, 100));
    } else if (allows_method(record.value, look.challenge)) {
      return;
    } else {
      by_another_method = true;
    }
  }
  std::sort(allowed.begin(), allowed.end());
  const std::string whose = "the CAA of " + *owner;
  if (by_another_method)
    sentences.push_back(whose + " does not allow " + look.issuers.front() + " to validate by " + look.challenge);
  else
    sentences.push_back(whose + " allows " + (allowed.empty() ? "nobody" : "only " + join(allowed)) +
                        (identifier.wildcard() ? " to issue wildcards" : "") + ", and not " + look.issuers.front());
}

}  // namespace

std::vector<std::string> explain_names(const Resolver& resolver, const std::vector<Identifier>& names,
                                       const std::string& challenge, const std::vector<std::string>& issuers,
                                       const std::vector<std::string>& own_addresses, Duration timeout,
                                       const std::stop_token& stop) {
  const Deadline deadline(timeout);
  const Look look{resolver, challenge, issuers, own_addresses, deadline, stop};
  Sentences sentences;
  std::size_t looked_at = 0;
  for (const Identifier& identifier : names) {
    if (identifier.type != Identifier::Type::dns || looked_at == most_names || deadline.passed()) continue;
    ++looked_at;
    const std::string base = identifier.wildcard() ? identifier.value.substr(2) : identifier.value;
    const auto attempt = [&sentences](const auto& explain) {
      try {
        explain();
      } catch (const Error& error) {
        sentences.push_back(error.message());
      }
    };
    if (!challenge.starts_with("dns-")) attempt([&] { explain_addresses(look, base, sentences); });
    attempt([&] { explain_caa(look, identifier, base, sentences); });
  }
  std::vector<std::string> once;
  for (std::string& sentence : sentences)
    if (std::find(once.begin(), once.end(), sentence) == once.end()) once.push_back(std::move(sentence));
  return once;
}

}  // namespace acme_agent
