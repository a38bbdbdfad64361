#include <openssl/ssl.h>

#include <cerrno>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>
#include <vector>

#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/root_bundle.hpp>

#include "openssl.hpp"

namespace acme_agent {
namespace {

constexpr std::uintmax_t largest_bundle = 16 * 1024 * 1024;
constexpr std::string_view begin_line = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view end_line = "-----END CERTIFICATE-----";

using Roots =
    std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * roots) { sk_X509_pop_free(roots, X509_free); })>;

std::string text_of(const std::filesystem::path& path, const std::string& place) {
  std::error_code unknown;
  if (std::filesystem::exists(path, unknown) && !std::filesystem::is_regular_file(path, unknown)) {
    throw Error(Remedy::ask_operator, place + " is no file");
  }
  if (const std::uintmax_t size = std::filesystem::file_size(path, unknown); !unknown && size > largest_bundle) {
    throw Error(Remedy::ask_operator, place + " is larger than 16 MiB");
  }
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    const std::string why = file ? "it is empty" : std::generic_category().message(errno);
    throw Error(Remedy::ask_operator, "cannot read " + place + ": " + why);
  }
  return std::move(text).str();
}

/// The octets of base64 with line ends; empty if it is none.
std::string decode(std::string_view base64) {
  const std::unique_ptr<EVP_ENCODE_CTX, Free<EVP_ENCODE_CTX_free>> decoder(EVP_ENCODE_CTX_new());
  require(decoder != nullptr, "to read a certificate");
  EVP_DecodeInit(decoder.get());
  std::string octets(base64.size(), '\0');
  auto* out = reinterpret_cast<unsigned char*>(octets.data());
  int size = 0;
  int rest = 0;
  if (EVP_DecodeUpdate(decoder.get(), out, &size, reinterpret_cast<const unsigned char*>(base64.data()),
                       static_cast<int>(base64.size())) < 0 ||
      EVP_DecodeFinal(decoder.get(), out + size, &rest) != 1)
    return "";
  octets.resize(static_cast<std::size_t>(size) + static_cast<std::size_t>(rest));
  return octets;
}

std::string_view issuer_of(const X509* certificate) {
  const unsigned char* der = nullptr;
  std::size_t size = 0;
  if (X509_NAME_get0_der(X509_get_issuer_name(certificate), &der, &size) != 1) return {};
  return {reinterpret_cast<const char*>(der), size};
}

X509Handle parse(std::string_view der) {
  const auto* octets = reinterpret_cast<const unsigned char*>(der.data());
  X509Handle certificate(d2i_X509(nullptr, &octets, static_cast<long>(der.size())));
  if (!certificate) take_openssl_reason();
  return certificate;
}

void push(const Roots& roots, std::string_view der) {
  X509Handle certificate = parse(der);
  if (certificate && sk_X509_push(roots.get(), certificate.get()) > 0) static_cast<void>(certificate.release());
}

bool any_issued_one_of(const STACK_OF(X509) * roots, const STACK_OF(X509) * chain) {
  for (int i = 0; i < sk_X509_num(roots); ++i)
    for (int j = 0; j < sk_X509_num(chain); ++j)
      if (X509_check_issued(sk_X509_value(roots, i), sk_X509_value(chain, j)) == X509_V_OK) return true;
  return false;
}

/// Takes the first certificate off a PEM text: its DER, which is empty if the block is damaged; nothing at the end.
std::optional<std::string> take_certificate(std::string_view& pem) {
  const std::size_t begin = pem.find(begin_line);
  if (begin == std::string_view::npos) return std::nullopt;
  pem.remove_prefix(begin + begin_line.size());
  const std::size_t end = pem.find(end_line);
  if (end == std::string_view::npos) return std::nullopt;
  return decode(pem.substr(0, end));
}

/// Reads the roots that the chain of a server may lead to: those that have the name of an issuer in them, and all where
/// none of those is an issuer, since a name may be written in more than one way.
Roots roots_for(const STACK_OF(X509) * chain, std::string_view bundle) {
  Roots roots(sk_X509_new_null());
  require(roots != nullptr, "to verify a certificate");
  std::vector<std::string> others;
  while (std::optional<std::string> root = take_certificate(bundle)) {
    bool named = false;
    for (int i = 0; i < sk_X509_num(chain) && !named; ++i) {
      named = root->find(issuer_of(sk_X509_value(chain, i))) != std::string::npos;
    }
    if (named)
      push(roots, *root);
    else
      others.push_back(*std::move(root));
  }
  if (any_issued_one_of(roots.get(), chain)) return roots;
  for (const std::string& root : others) push(roots, root);
  return roots;
}

/// Stands in for OpenSSL's own verification; `pem` is the text of the bundle.
int verify(X509_STORE_CTX* context, void* pem) noexcept {
  try {
    const Roots roots = roots_for(X509_STORE_CTX_get0_untrusted(context), *static_cast<const std::string*>(pem));
    X509_STORE_CTX_set0_trusted_stack(context, roots.get());
    return X509_verify_cert(context);
  } catch (const std::exception&) {  // out of memory
    X509_STORE_CTX_set_error(context, X509_V_ERR_OUT_OF_MEM);
    return 0;
  }
}

}  // namespace

RootBundle::RootBundle(const std::filesystem::path& path, const std::string& what) {
  const std::string place = what + " " + path.string();
  pem_ = text_of(path, place);
  std::string_view text = pem_;
  while (const std::optional<std::string> certificate = take_certificate(text)) {
    if (parse(*certificate)) return;
  }
  throw Error(Remedy::ask_operator, place + " holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
}

void RootBundle::install_in(void* ssl_context) const {
  SSL_CTX_set_cert_verify_callback(static_cast<SSL_CTX*>(ssl_context), verify, const_cast<std::string*>(&pem_));
}

RootBundle RootBundle::of_text(std::string pem) {
  RootBundle bundle;
  bundle.pem_ = std::move(pem);
  return bundle;
}

std::optional<std::string> RootBundle::why_refused(const CertificateChain& chain, TimePoint now) const {
  const std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * borrowed) { sk_X509_free(borrowed); })> shown(
      sk_X509_new_null());
  const std::unique_ptr<X509_STORE, Free<X509_STORE_free>> store(X509_STORE_new());
  const std::unique_ptr<X509_STORE_CTX, Free<X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
  require(shown != nullptr && store != nullptr && context != nullptr, "to verify a certificate");
  for (const Certificate& certificate : chain.certificates())
    require(sk_X509_push(shown.get(), certificate.handle()) > 0, "to verify a certificate");
  require(X509_STORE_CTX_init(context.get(), store.get(), chain.leaf().handle(), shown.get()) == 1,
          "to verify a certificate");
  require(X509_STORE_CTX_set_default(context.get(), "ssl_server") == 1, "to verify a certificate");
  X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_PARTIAL_CHAIN);
  X509_STORE_CTX_set_time(context.get(), 0, std::chrono::system_clock::to_time_t(now));
  if (verify(context.get(), const_cast<std::string*>(&pem_)) == 1) return std::nullopt;
  return X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

}  // namespace acme_agent
