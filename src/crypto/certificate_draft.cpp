#include "certificate_draft.hpp"

#include <array>
#include <cstdio>
#include <ctime>

#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

using GeneralNames = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

GENERAL_NAME* general_name(const Identifier& identifier) {
  std::unique_ptr<GENERAL_NAME, Free<GENERAL_NAME_free>> name(GENERAL_NAME_new());
  require(name != nullptr, "to write a name");
  if (identifier.type == Identifier::Type::ip) {
    ASN1_OCTET_STRING* address = a2i_IPADDRESS(identifier.value.c_str());
    if (address == nullptr) {
      take_openssl_reason();
      throw Error(Remedy::ask_operator, "'" + printable(identifier.value) + "' is not an IP address");
    }
    GENERAL_NAME_set0_value(name.get(), GEN_IPADD, address);
  } else {
    std::unique_ptr<ASN1_IA5STRING, Free<ASN1_IA5STRING_free>> text(ASN1_IA5STRING_new());
    require(text != nullptr &&
                ASN1_STRING_set(text.get(), identifier.value.data(), static_cast<int>(identifier.value.size())) == 1,
            "to write a name");
    GENERAL_NAME_set0_value(name.get(), GEN_DNS, text.release());
  }
  return name.release();
}

void set_random_serial(X509* certificate) {
  const Bignum serial(BN_new());
  require(serial != nullptr && BN_rand(serial.get(), 128, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate)) != nullptr,
          "to make a serial number");
}

}  // namespace

void set_time(ASN1_TIME* time, TimePoint value) {
  using namespace std::chrono;
  const auto day = floor<days>(value);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<seconds>(value - day));
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%04d%02u%02u%02d%02d%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  require(ASN1_TIME_set_string_X509(time, text.data()) == 1, "to write a date");
}

std::optional<TimePoint> time_point(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  using namespace std::chrono;
  const year_month_day day = year{parts.tm_year + 1900} / (parts.tm_mon + 1) / parts.tm_mday;
  return sys_days{day} + hours(parts.tm_hour) + minutes(parts.tm_min) + seconds(parts.tm_sec);
}

void add_entry(X509_NAME* name, int nid, std::string_view text) {
  require(X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()), -1, 0) == 1,
          "to write a name");
}

Extension alternative_names(const std::vector<Identifier>& identifiers, bool critical) {
  const GeneralNames names(GENERAL_NAMES_new());
  require(names != nullptr, "to write names");
  for (const Identifier& identifier : identifiers) sk_GENERAL_NAME_push(names.get(), general_name(identifier));
  Extension extension(X509V3_EXT_i2d(NID_subject_alt_name, critical ? 1 : 0, names.get()));
  require(extension != nullptr, "to write names");
  return extension;
}

void add_extension(X509* certificate, Extension extension) {
  require(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1, "to write an extension");
}

void add_extension(X509* certificate, int nid, const char* value) {
  add_extension(certificate, Extension(X509V3_EXT_conf_nid(nullptr, nullptr, nid, value)));
}

X509Handle draft_certificate(EVP_PKEY* public_key, const Validity& validity) {
  X509Handle certificate(X509_new());
  require(certificate != nullptr && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
              X509_set_pubkey(certificate.get(), public_key) == 1,
          "to make a certificate");
  set_random_serial(certificate.get());
  set_time(X509_getm_notBefore(certificate.get()), validity.not_before);
  set_time(X509_getm_notAfter(certificate.get()), validity.not_after);
  return certificate;
}

Certificate sign(X509* certificate, const PrivateKey& key) {
  require(X509_sign(certificate, key.handle(), EVP_sha256()) > 0, "to sign a certificate");
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  const std::unique_ptr<unsigned char, FreeByOpenssl> owned(der);
  require(size > 0, "to write a certificate");
  return Certificate::from_der({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
}

}  // namespace acme_agent
