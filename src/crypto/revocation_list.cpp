#include <openssl/err.h>
#include <openssl/pem.h>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/revocation_list.hpp>

#include "certificate_draft.hpp"
#include "openssl.hpp"

namespace acme_agent {
namespace {

using Crl = std::unique_ptr<X509_CRL, Free<X509_CRL_free>>;
using Time = std::unique_ptr<ASN1_TIME, Free<ASN1_TIME_free>>;
using Integer = std::unique_ptr<ASN1_INTEGER, Free<ASN1_INTEGER_free>>;
using Reason = std::unique_ptr<ASN1_ENUMERATED, Free<ASN1_ENUMERATED_free>>;

constexpr std::size_t largest = 16 * 1024 * 1024;
constexpr const char* doing = "to make a list of what is revoked";

Time time_of(TimePoint value) {
  Time time(ASN1_TIME_new());
  require(time != nullptr, doing);
  set_time(time.get(), value);
  return time;
}

void add(X509_CRL* crl, const RevokedCertificate& certificate) {
  BIGNUM* number = nullptr;
  const int read = BN_hex2bn(&number, certificate.serial.c_str());
  const Bignum owned(number);
  if (certificate.serial.empty() || static_cast<std::size_t>(read) != certificate.serial.size())
    throw Error(Remedy::ask_operator, "'" + printable(certificate.serial, 80) + "' is no serial number");
  const Integer serial(BN_to_ASN1_INTEGER(number, nullptr));
  std::unique_ptr<X509_REVOKED, Free<X509_REVOKED_free>> entry(X509_REVOKED_new());
  require(serial != nullptr && entry != nullptr && X509_REVOKED_set_serialNumber(entry.get(), serial.get()) == 1 &&
              X509_REVOKED_set_revocationDate(entry.get(), time_of(certificate.since).get()) == 1,
          doing);
  if (certificate.reason.value_or(0) != 0) {  // RFC 5280 5.3.1: unspecified is not written
    const Reason reason(ASN1_ENUMERATED_new());
    require(reason != nullptr && ASN1_ENUMERATED_set(reason.get(), *certificate.reason) == 1 &&
                X509_REVOKED_add1_ext_i2d(entry.get(), NID_crl_reason, reason.get(), 0, 0) == 1,
            doing);
  }
  require(X509_CRL_add0_revoked(crl, entry.get()) == 1, doing);
  entry.release();
}

std::optional<int> reason_of(const X509_REVOKED* entry) {
  const Reason reason(static_cast<ASN1_ENUMERATED*>(X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, nullptr, nullptr)));
  if (reason == nullptr) return std::nullopt;
  return static_cast<int>(ASN1_ENUMERATED_get(reason.get()));
}

std::uint64_t number_of(const X509_CRL* crl) {
  const Integer number(static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(crl, NID_crl_number, nullptr, nullptr)));
  std::uint64_t value = 0;
  if (number == nullptr || ASN1_INTEGER_get_uint64(&value, number.get()) != 1) return 0;
  return value;
}

std::string common_name(const X509_NAME* name) {
  const int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  return index < 0 ? std::string() : std::string(octets(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index))));
}

RevocationList contents_of(X509_CRL* crl) {
  const std::optional<TimePoint> begins = time_point(X509_CRL_get0_lastUpdate(crl));
  if (!begins) throw Error(Remedy::ask_operator, "a list of what is revoked has no date");
  RevocationList list;
  list.issuer = common_name(X509_CRL_get_issuer(crl));
  list.number = number_of(crl);
  list.this_update = *begins;
  if (const ASN1_TIME* end = X509_CRL_get0_nextUpdate(crl)) list.next_update = time_point(end);
  const auto* entries = X509_CRL_get_REVOKED(crl);
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
    const X509_REVOKED* entry = sk_X509_REVOKED_value(entries, i);
    const std::optional<TimePoint> since = time_point(X509_REVOKED_get0_revocationDate(entry));
    list.revoked.push_back(
        {to_hex(octets(X509_REVOKED_get0_serialNumber(entry))), since.value_or(*begins), reason_of(entry)});
  }
  take_openssl_reason();
  return list;
}

}  // namespace

std::string make_crl(const Issuer& issuer, const RevocationList& list) {
  const Crl crl(X509_CRL_new());
  require(crl != nullptr && X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2) == 1 &&
              X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(issuer.certificate.handle())) == 1 &&
              X509_CRL_set1_lastUpdate(crl.get(), time_of(list.this_update).get()) == 1 &&
              X509_CRL_set1_nextUpdate(crl.get(), time_of(list.next_update.value()).get()) == 1,
          doing);
  for (const RevokedCertificate& certificate : list.revoked) add(crl.get(), certificate);

  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer.certificate.handle(), nullptr, nullptr, crl.get(), 0);
  const Extension key(X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"));
  const Integer number(ASN1_INTEGER_new());
  require(key != nullptr && X509_CRL_add_ext(crl.get(), key.get(), -1) == 1 && number != nullptr &&
              ASN1_INTEGER_set_uint64(number.get(), list.number) == 1 &&
              X509_CRL_add1_ext_i2d(crl.get(), NID_crl_number, number.get(), 0, 0) == 1 &&
              X509_CRL_sort(crl.get()) == 1 && X509_CRL_sign(crl.get(), issuer.key.handle(), EVP_sha256()) > 0,
          doing);
  const Bio bio(BIO_new(BIO_s_mem()));
  require(bio != nullptr && PEM_write_bio_X509_CRL(bio.get(), crl.get()) == 1, doing);
  return std::string(contents(bio.get()));
}

std::vector<RevocationList> read_crls(std::string_view pem) {
  const Bio bio(pem.size() > largest ? nullptr : BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::vector<RevocationList> lists;
  while (bio != nullptr) {
    const Crl crl(PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr));
    if (crl == nullptr) break;
    lists.push_back(contents_of(crl.get()));
  }
  const unsigned long last = ERR_peek_last_error();
  const bool at_the_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  const std::string reason = take_openssl_reason();
  if (lists.empty() && at_the_end) throw Error(Remedy::ask_operator, "there is no list of what is revoked in it");
  if (!at_the_end) throw Error(Remedy::ask_operator, "the list of what is revoked is damaged (" + reason + ")");
  return lists;
}

}  // namespace acme_agent
