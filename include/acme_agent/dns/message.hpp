#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace acme_agent {

/// The types of records that we know how to read (RFC 1035 3.2.2, RFC 3596, RFC 8659).
enum class RecordType : std::uint16_t { a = 1, ns = 2, cname = 5, soa = 6, txt = 16, aaaa = 28, caa = 257 };

/// "A", "AAAA", …
std::string to_string(RecordType type);

/// Names are in lower case and without the final dot (the root is empty); what is no letter, digit, '-', '_' or '*'
/// in a label is written \DDD (RFC 1035 5.1).
struct DnsRecord {
  std::string name;
  RecordType type = RecordType::a;
  std::string value;      ///< The address, the name (of an SOA: the primary's), the whole text, or what a CAA says.
  std::string tag;        ///< Of a CAA, in lower case.
  bool critical = false;  ///< Of a CAA.

  bool operator==(const DnsRecord&) const = default;
};

/// Response codes (RFC 1035 4.1.1, RFC 2136 2.2) that we look at.
enum : int { dns_no_error = 0, dns_server_failure = 2, dns_no_such_name = 3, dns_not_implemented = 4, dns_refused = 5 };
enum : int { dns_not_authoritative = 9, dns_not_in_zone = 10 };

/// "REFUSED", …; "code 23" for one that has no name here.
std::string response_code_name(int code);

struct DnsQuestion {
  std::string name;
  std::uint16_t type = 0;

  bool operator==(const DnsQuestion&) const = default;
};

/// The signature that a message ends with (RFC 8945 4.2).
struct TsigRecord {
  std::string key_name;
  std::string algorithm;
  std::uint64_t time_signed = 0;  ///< Seconds since 1970.
  std::uint16_t fudge = 0;
  std::string mac;
  std::uint16_t original_id = 0;
  std::uint16_t error = 0;
  std::string other;
  std::size_t offset = 0;  ///< Where the record starts in the message.
};

/// What a name server says.
struct DnsResponse {
  std::uint16_t id = 0;
  int opcode = 0;
  bool authoritative = false;
  bool truncated = false;
  int code = dns_no_error;
  std::optional<DnsQuestion> question;
  std::vector<DnsRecord> answers;      ///< Those of a type that we know.
  std::vector<DnsRecord> authorities;  ///< The same.
  std::optional<TsigRecord> tsig;
};

/// Reads a message of at most 64 KiB; nothing if it is no response or is damaged anywhere.
std::optional<DnsResponse> read_dns_response(std::string_view message);

/// A question with recursion desired, which takes answers of 1232 octets by UDP (RFC 6891).
std::string write_dns_query(std::uint16_t id, const std::string& name, RecordType type);

enum class TxtChange { add, remove };

/// RFC 2136 2: one TXT record of at most 255 octets more or less.
std::string write_dns_update(std::uint16_t id, const std::string& zone, const std::string& name,
                             const std::string& text, TxtChange change);

/// A name as it is sent and signed, not compressed (RFC 1035 3.1, RFC 8945 4.3.3). Throws Error (ask_operator) for what
/// is no name.
std::string write_dns_name(const std::string& name);

/// An unsigned number of `octets` octets in network order.
std::string write_dns_number(std::uint64_t number, int octets);

/// Whether `name` is `zone` or below it.
bool in_zone(std::string_view name, std::string_view zone);

/// The name without its first label; nothing for the root.
std::optional<std::string> parent_of(std::string_view name);

}  // namespace acme_agent
