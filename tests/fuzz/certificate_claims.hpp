#pragma once

#include <algorithm>

#include <acme_agent/crypto/certificate.hpp>

#include "fuzz.hpp"

namespace acme_agent::fuzz {

/// libFuzzer counts these with the code that it sees: OpenSSL is not instrumented, so that its verdicts have to lead.
__attribute__((section("__libfuzzer_extra_counters"))) inline unsigned char verdicts[4096];

inline void note(std::string_view verdict) {
  verdicts[std::hash<std::string_view>()(verdict) % sizeof verdicts] = 1;
}

/// The length of the element of DER at the start of `der`, as it says itself.
inline std::size_t element_size(std::string_view der) {
  const auto octet = [der](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(der[i])); };
  if (der.size() < 4 || octet(1) < 128) return der.size() < 2 ? der.size() : 2 + octet(1);
  return octet(1) == 0x81 ? 3 + octet(2) : 4 + (octet(2) << 8) + octet(3);
}

/// What holds for every certificate, whoever made it.
inline void check_certificate(const Certificate& certificate) {
  constexpr std::string_view hex = "0123456789abcdef";
  const std::string der = certificate.der();
  expect(Certificate::from_der(der) == certificate, "a certificate reads as itself", to_hex(der));
  expect_date(certificate.validity().not_before);
  expect_date(certificate.validity().not_after);
  const std::vector<Identifier> identifiers = certificate.identifiers();
  expect(std::is_sorted(identifiers.begin(), identifiers.end()), "names are sorted");
  for (const Identifier& identifier : identifiers) {
    if (identifier.type == Identifier::Type::ip)
      expect(parse_identifier(identifier.value) == identifier, "an address reads as itself", identifier.value);
  }
  expect(certificate.serial().find_first_not_of(hex) == std::string::npos, "a serial is hexadecimal");
  expect(certificate.fingerprint_sha256().size() == 64, "a fingerprint has 64 digits");
  if (certificate.placeholder()) expect(certificate.self_signed(), "a placeholder is self-signed");
  const std::optional<KeyType> type = certificate.key_type();
  note(type ? to_string(*type) : "no key");
  note(std::to_string(identifiers.size()) + (certificate.self_signed() ? " names, self-signed" : " names"));
  certificate.subject();
  certificate.issuer();
}

/// As attempt(), for what OpenSSL reads.
template <class Call>
auto attempt_and_note(const Call& call) -> std::optional<decltype(call())> {
  try {
    return call();
  } catch (const Error& error) {
    expect_shown(error);
    note(error.message());
    return std::nullopt;
  }
}

}  // namespace acme_agent::fuzz
