#include <acme_agent/crypto/certificate.hpp>

#include "fuzz.hpp"

namespace acme_agent::fuzz {
namespace {

using namespace std::chrono_literals;

/// One element of DER, shorter than 64 KiB.
std::string element(unsigned char tag, std::string_view content) {
  const std::size_t size = content.size();
  std::string der(1, static_cast<char>(tag));
  if (size >= 128) {
    der += '\x82';
    der += static_cast<char>(size >> 8);
  }
  der += static_cast<char>(size & 255);
  return der.append(content);
}

/// The least that is a certificate: no names, a signature and a key of no known kind.
std::string certificate_from(std::string_view not_before) {
  using namespace std::string_view_literals;
  const std::string algorithm = element(0x30, "\x06\x02\x2a\x03"sv);
  const std::string bits = element(0x03, "\0\0"sv);
  const std::string not_after = element(0x18, "99991231235959Z");
  const std::string body = element(0x02, "\1"sv) + algorithm + element(0x30, "") +
                           element(0x30, std::string(not_before) + not_after) + element(0x30, "") +
                           element(0x30, algorithm + bits);
  return element(0x30, element(0x30, body) + algorithm + bits);
}

/// RFC 5280 4.1.2.5 in the form of RFC 3339, which another reader understands.
std::string as_rfc3339(std::string_view digits, bool generalized) {
  std::string text(digits);
  if (!generalized) text.insert(0, text.front() >= '5' ? "19" : "20");
  return text.substr(0, 4) + "-" + text.substr(4, 2) + "-" + text.substr(6, 2) + "T" + text.substr(8, 2) + ":" +
         text.substr(10, 2) + ":" + text.substr(12);
}

void check_asn1(std::string_view input, bool generalized) {
  const std::string der = certificate_from(element(generalized ? 0x18 : 0x17, input));
  const std::optional<Certificate> certificate = attempt([&der] { return Certificate::from_der(der); });
  const bool usual = input.size() == (generalized ? 15 : 13) && input.ends_with('Z') &&
                     input.find_first_not_of("0123456789") == input.size() - 1;
  const std::optional<TimePoint> same = usual ? parse_rfc3339(as_rfc3339(input, generalized)) : std::nullopt;
  if (certificate) {
    const TimePoint read = certificate->validity().not_before;
    expect_date(read);
    if (usual) expect(same == read, "ASN.1 and RFC 3339 agree on a date", input);
  } else if (usual) {
    expect(!same || input.substr(input.size() - 3) == "60Z", "a date is refused only if it is none", input);
  }
}

void check_duration(std::string_view input) {
  const std::optional<Duration> duration = parse_duration(input);
  if (!duration) return;
  expect(*duration >= 0ms && *duration <= std::chrono::days(36500), "a duration is from nothing to a century", input);
  expect(parse_duration(std::to_string(duration->count()) + "ms") == duration, "a duration reads as itself", input);
  expect_sentence(describe(*duration), 60);
}

}  // namespace

void one_input(std::string_view input) {
  if (const std::optional<TimePoint> moment = parse_rfc3339(input)) expect_date(*moment);
  check_duration(input);
  if (input.size() > 64 || input.find_first_of("0123456789") != 0) return;
  check_asn1(input, false);
  check_asn1(input, true);
}

}  // namespace acme_agent::fuzz
