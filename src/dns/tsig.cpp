#include "tsig.hpp"

#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/digest.hpp>

namespace acme_agent {
namespace {

constexpr std::uint16_t fudge = 300;  // seconds that clocks may differ, as RFC 8945 10 has it
constexpr std::size_t count_of_additionals = 10;

std::uint64_t seconds_of(TimePoint time) {
  return static_cast<std::uint64_t>(std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count());
}

/// RFC 8945 4.3.3: what is signed of the TSIG record itself.
std::string variables(const TsigKey& key, std::uint64_t time, std::uint16_t its_fudge, std::uint16_t error,
                      const std::string& other) {
  constexpr std::uint64_t class_any = 255;
  return write_dns_name(key.name) + write_dns_number(class_any, 2) + write_dns_number(0, 4) +
         write_dns_name(algorithm_name(key.hash)) + write_dns_number(time, 6) + write_dns_number(its_fudge, 2) +
         write_dns_number(error, 2) + write_dns_number(other.size(), 2) + other;
}

/// The message with one more additional record, or one less.
void count_additional(std::string& message, int difference) {
  const int count = static_cast<unsigned char>(message[count_of_additionals]) << 8 |
                    static_cast<unsigned char>(message[count_of_additionals + 1]);
  message.replace(count_of_additionals, 2, write_dns_number(static_cast<std::uint64_t>(count + difference), 2));
}

}  // namespace

SignedRequest::SignedRequest(const std::string& message, const TsigKey& key, TimePoint now)
    : key_(key),
      mac_(hmac(key.hash, key.secret, message + variables(key, seconds_of(now), fudge, 0, ""))),
      message_(message) {
  constexpr std::uint64_t type_tsig = 250;
  constexpr std::uint64_t class_any = 255;
  const std::string data = write_dns_name(algorithm_name(key.hash)) + write_dns_number(seconds_of(now), 6) +
                           write_dns_number(fudge, 2) + write_dns_number(mac_.size(), 2) + mac_ + message.substr(0, 2) +
                           write_dns_number(0, 2) + write_dns_number(0, 2);
  message_ += write_dns_name(key.name) + write_dns_number(type_tsig, 2) + write_dns_number(class_any, 2) +
              write_dns_number(0, 4) + write_dns_number(data.size(), 2) + data;
  count_additional(message_, 1);
}

void SignedRequest::check(const std::string& wire, const DnsResponse& response, const std::string& server,
                          TimePoint now) const {
  const auto refuse = [&server](const char* what) {
    return Error(Remedy::retry, "the name server " + server + " says that it is done, but its answer " + what +
                                    ": is it the one that has the key?");
  };
  if (!response.tsig) throw refuse("is not signed");
  const TsigRecord& tsig = *response.tsig;
  if (tsig.key_name != key_.name || tsig.algorithm != algorithm_name(key_.hash))
    throw refuse("is signed with another key");
  std::string body = wire.substr(0, tsig.offset);
  body.replace(0, 2, write_dns_number(tsig.original_id, 2));
  count_additional(body, -1);
  const std::string expected = hmac(key_.hash, key_.secret,
                                    write_dns_number(mac_.size(), 2) + mac_ + body +
                                        variables(key_, tsig.time_signed, tsig.fudge, tsig.error, tsig.other));
  if (tsig.mac != expected) throw refuse("has a wrong signature");
  const std::uint64_t ours = seconds_of(now);
  const std::uint64_t apart = ours > tsig.time_signed ? ours - tsig.time_signed : tsig.time_signed - ours;
  if (apart > fudge) throw refuse("was signed at another time");
}

}  // namespace acme_agent
