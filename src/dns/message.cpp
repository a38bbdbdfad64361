#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/dns/message.hpp>

namespace acme_agent {
namespace {

constexpr std::size_t longest_message = 65535;
constexpr std::size_t longest_name = 255;
constexpr std::size_t longest_label = 63;
constexpr std::uint16_t type_opt = 41;
constexpr std::uint16_t type_tsig = 250;
constexpr std::uint16_t class_in = 1;
constexpr std::uint16_t class_none = 254;
constexpr std::uint32_t ttl_of_answers = 60;  // seconds; a record of ours lives for minutes

struct Damaged {};

void require(bool holds) {
  if (!holds) throw Damaged{};
}

bool plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '*';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

void append_label(std::string& name, std::string_view label) {
  if (!name.empty()) name += '.';
  for (const char octet : label) {
    const char c = lower(octet);
    if (plain(c)) {
      name += c;
      continue;
    }
    const unsigned value = static_cast<unsigned char>(c);
    name += {'\\', static_cast<char>('0' + value / 100), static_cast<char>('0' + value / 10 % 10),
             static_cast<char>('0' + value % 10)};
  }
}

/// Reads on from a place in a message, never past `end`.
class Reader {
 public:
  Reader(std::string_view message, std::size_t at, std::size_t end) : message_(message), at_(at), end_(end) {
    require(at <= end && end <= message.size());
  }

  std::size_t at() const { return at_; }
  bool done() const { return at_ == end_; }

  std::uint64_t number(int octets) {
    std::uint64_t value = 0;
    for (const char octet : octets_of(static_cast<std::size_t>(octets)))
      value = value << 8 | static_cast<unsigned char>(octet);
    return value;
  }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }

  std::string_view octets_of(std::size_t count) {
    require(count <= end_ - at_);
    const std::string_view octets = message_.substr(at_, count);
    at_ += count;
    return octets;
  }
  std::string_view rest() { return octets_of(end_ - at_); }
  std::string_view counted(int octets) { return octets_of(static_cast<std::size_t>(number(octets))); }

  /// RFC 1035 4.1.4: a pointer leads to an earlier place, each to an earlier one than the last: so there is an end.
  std::string name() {
    std::string text;
    std::size_t size = 1;
    std::size_t earliest = at_;
    std::size_t place = at_;
    bool jumped = false;
    for (;;) {
      require(place < (jumped ? message_.size() : end_));
      const auto length = static_cast<unsigned char>(message_[place]);
      if ((length & 0xC0U) == 0xC0U) {
        require(place + 1 < (jumped ? message_.size() : end_));
        const std::size_t target = (length & 0x3FU) << 8 | static_cast<unsigned char>(message_[place + 1]);
        require(target < earliest);
        if (!jumped) at_ = place + 2;
        jumped = true;
        earliest = place = target;
        continue;
      }
      require(length <= longest_label);
      require(place + 1 + length <= (jumped ? message_.size() : end_));
      if (!jumped) at_ = place + 1 + length;
      if (length == 0) return text;
      size += 1 + length;
      require(size <= longest_name);
      append_label(text, message_.substr(place + 1, length));
      place += 1 + length;
    }
  }

 private:
  const std::string_view message_;
  std::size_t at_;
  const std::size_t end_;
};

std::string read_address(std::string_view octets, int family, std::size_t size) {
  require(octets.size() == size);
  std::array<char, INET6_ADDRSTRLEN> text{};
  require(::inet_ntop(family, octets.data(), text.data(), text.size()) != nullptr);
  return text.data();
}

bool known(std::uint16_t type) {
  constexpr std::array types = {RecordType::a,   RecordType::ns,   RecordType::cname, RecordType::soa,
                                RecordType::txt, RecordType::aaaa, RecordType::caa};
  return std::any_of(types.begin(), types.end(),
                     [&](RecordType one) { return static_cast<std::uint16_t>(one) == type; });
}

void read_data(DnsRecord& record, Reader data) {
  switch (record.type) {
    case RecordType::a:
      record.value = read_address(data.rest(), AF_INET, 4);
      break;
    case RecordType::aaaa:
      record.value = read_address(data.rest(), AF_INET6, 16);
      break;
    case RecordType::ns:
    case RecordType::cname:
      record.value = data.name();
      break;
    case RecordType::soa:
      record.value = data.name();
      data.name();
      data.octets_of(20);
      break;
    case RecordType::txt:
      while (!data.done()) record.value += data.counted(1);
      break;
    case RecordType::caa:  // RFC 8659 4.1
      record.critical = (data.number(1) & 0x80U) != 0;
      record.tag = data.counted(1);
      require(!record.tag.empty());
      std::transform(record.tag.begin(), record.tag.end(), record.tag.begin(), lower);
      record.value = data.rest();
      break;
  }
  require(data.done());
}

TsigRecord read_tsig(std::string owner, std::size_t offset, Reader data) {
  TsigRecord tsig;
  tsig.key_name = std::move(owner);
  tsig.offset = offset;
  tsig.algorithm = data.name();
  tsig.time_signed = data.number(6);
  tsig.fudge = data.u16();
  tsig.mac = data.counted(2);
  tsig.original_id = data.u16();
  tsig.error = data.u16();
  tsig.other = data.counted(2);
  require(data.done());
  return tsig;
}

DnsResponse read_response(std::string_view message) {
  require(message.size() <= longest_message);
  Reader reader(message, 0, message.size());
  DnsResponse response;
  response.id = reader.u16();
  const unsigned flags = reader.u16();
  require((flags & 0x8000U) != 0);
  response.opcode = static_cast<int>(flags >> 11 & 0xFU);
  response.authoritative = (flags & 0x0400U) != 0;
  response.truncated = (flags & 0x0200U) != 0;
  response.code = static_cast<int>(flags & 0xFU);
  std::array<std::uint16_t, 4> counts{};
  for (std::uint16_t& count : counts) count = reader.u16();

  require(counts[0] <= 1);
  if (counts[0] == 1) {
    DnsQuestion question;
    question.name = reader.name();
    question.type = reader.u16();
    reader.u16();
    response.question = question;
  }
  for (std::size_t section = 1; section < counts.size(); ++section) {
    for (int left = counts[section]; left > 0; --left) {
      if (response.truncated && reader.done()) return response;
      require(!response.tsig);  // RFC 8945 5.1: the last record of all
      const std::size_t offset = reader.at();
      DnsRecord record;
      record.name = reader.name();
      const std::uint16_t type = reader.u16();
      const std::uint16_t its_class = reader.u16();
      const auto ttl = static_cast<std::uint32_t>(reader.number(4));
      const std::size_t size = reader.u16();
      const Reader data(message, reader.at(), reader.at() + size);
      reader.octets_of(size);
      if (section == 3) {
        // RFC 6891 6.1.3: the upper bits of the code.
        if (type == type_opt) response.code |= static_cast<int>(ttl >> 24 << 4);
        if (type == type_tsig) response.tsig = read_tsig(record.name, offset, data);
        continue;
      }
      if (its_class != class_in || !known(type)) continue;
      record.type = static_cast<RecordType>(type);
      read_data(record, data);
      (section == 1 ? response.answers : response.authorities).push_back(std::move(record));
    }
  }
  require(reader.done());
  return response;
}

std::string write_header(std::uint16_t id, unsigned flags, int second, int third, int fourth) {
  return write_dns_number(id, 2) + write_dns_number(flags, 2) + write_dns_number(1, 2) +
         write_dns_number(static_cast<unsigned>(second), 2) + write_dns_number(static_cast<unsigned>(third), 2) +
         write_dns_number(static_cast<unsigned>(fourth), 2);
}

std::string write_question(const std::string& name, RecordType type) {
  return write_dns_name(name) + write_dns_number(static_cast<std::uint16_t>(type), 2) + write_dns_number(class_in, 2);
}

bool digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

std::string to_string(RecordType type) {
  switch (type) {
    case RecordType::a:
      return "A";
    case RecordType::ns:
      return "NS";
    case RecordType::cname:
      return "CNAME";
    case RecordType::soa:
      return "SOA";
    case RecordType::txt:
      return "TXT";
    case RecordType::aaaa:
      return "AAAA";
    case RecordType::caa:
      return "CAA";
  }
  return "TYPE" + std::to_string(static_cast<int>(type));
}

std::string response_code_name(int code) {
  constexpr std::array<std::string_view, 11> names = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                                      "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                                      "NXRRSET", "NOTAUTH", "NOTZONE"};
  const auto index = static_cast<std::size_t>(code);
  return index < names.size() ? std::string(names[index]) : "code " + std::to_string(code);
}

std::optional<DnsResponse> read_dns_response(std::string_view message) {
  try {
    return read_response(message);
  } catch (const Damaged&) {
    return std::nullopt;
  }
}

std::string write_dns_number(std::uint64_t number, int octets) {
  std::string written;
  for (int shift = 8 * (octets - 1); shift >= 0; shift -= 8) written += static_cast<char>(number >> shift & 0xFFU);
  return written;
}

std::string write_dns_name(const std::string& name) {
  const auto refuse = [&name](const char* why) {
    return Error(Remedy::ask_operator, "'" + printable(name, 300) + "' is no name for DNS: " + why);
  };
  std::string written;
  std::string label;
  for (std::size_t i = 0; i <= name.size() && !name.empty(); ++i) {
    if (i == name.size() || name[i] == '.') {
      if (label.empty()) throw refuse("one of its parts is empty");
      if (label.size() > longest_label) throw refuse("one of its parts has more than 63 characters");
      written += static_cast<char>(label.size());
      written += label;
      label.clear();
    } else if (name[i] == '\\') {
      if (i + 3 >= name.size() || !digit(name[i + 1]) || !digit(name[i + 2]) || !digit(name[i + 3]))
        throw refuse("a backslash must be followed by three digits");
      const int value = (name[i + 1] - '0') * 100 + (name[i + 2] - '0') * 10 + (name[i + 3] - '0');
      if (value > 255) throw refuse("no octet is larger than 255");
      label += lower(static_cast<char>(value));
      i += 3;
    } else {
      label += lower(name[i]);
    }
  }
  written += '\0';
  if (written.size() > longest_name) throw refuse("it has more than 253 characters");
  return written;
}

std::string write_dns_query(std::uint16_t id, const std::string& name, RecordType type) {
  constexpr unsigned recursion_desired = 0x0100;
  constexpr std::uint64_t largest_answer = 1232;  // fits into every path's packets
  return write_header(id, recursion_desired, 0, 0, 1) + write_question(name, type) + std::string(1, '\0') +
         write_dns_number(type_opt, 2) + write_dns_number(largest_answer, 2) + write_dns_number(0, 4) +
         write_dns_number(0, 2);
}

std::string write_dns_update(std::uint16_t id, const std::string& zone, const std::string& name,
                             const std::string& text, TxtChange change) {
  constexpr unsigned update = 5U << 11;
  const bool add = change == TxtChange::add;
  if (text.size() > 255) throw Error(Remedy::ask_operator, "a text of more than 255 octets does not fit into a record");
  return write_header(id, update, 0, 1, 0) + write_question(zone, RecordType::soa) + write_dns_name(name) +
         write_dns_number(static_cast<std::uint16_t>(RecordType::txt), 2) +
         write_dns_number(add ? class_in : class_none, 2) +  // RFC 2136 2.5.4: this very record goes
         write_dns_number(add ? ttl_of_answers : 0, 4) + write_dns_number(1 + text.size(), 2) +
         write_dns_number(text.size(), 1) + text;
}

bool in_zone(std::string_view name, std::string_view zone) {
  if (zone.empty() || name == zone) return true;
  return name.size() > zone.size() && name.ends_with(zone) && name[name.size() - zone.size() - 1] == '.';
}

std::optional<std::string> parent_of(std::string_view name) {
  if (name.empty()) return std::nullopt;
  const std::size_t dot = name.find('.');
  return dot == std::string_view::npos ? std::string() : std::string(name.substr(dot + 1));
}

}  // namespace acme_agent
