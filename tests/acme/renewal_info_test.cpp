#include <doctest/doctest.h>

#include <acme_agent/acme/renewal_info.hpp>
#include <acme_agent/acme/session.hpp>
#include <acme_agent/base/dates.hpp>

#include "support/fake_ca.hpp"
#include "support/fake_clock.hpp"
#include "support/test_ca.hpp"

using namespace acme_agent;
using namespace acme_agent::test;
using namespace std::chrono_literals;

namespace {

const std::stop_token never;

/// RFC 9773, Appendix A. Its serial number has the high bit set.
constexpr std::string_view example = R"(-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
)";

struct Asking {
  FakeClock clock;
  FakeCa ca{clock};
  std::unique_ptr<Transport> transport = ca.connect();

  Directory directory() { return fetch_directory(*transport, clock, ca.directory_url(), never); }

  Polled<RenewalInfo> answered_with(const std::string& body, const std::string& retry_after = "") {
    Response response;
    response.status = 200;
    response.body = body;
    if (!retry_after.empty()) response.headers.emplace("retry-after", retry_after);
    const Directory at = directory();
    ca.answer_next("/renewal-info", response);
    return fetch_renewal_info(*transport, clock, at, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", never);
  }
};

}  // namespace

TEST_CASE("the name of a certificate is the one that RFC 9773 gives for its example") {
  CHECK(renewal_info_id(CertificateChain::from_pem(example).leaf()) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
}

TEST_CASE("a certificate without an authority key identifier has no name") {
  const TestCa authority;
  CHECK(renewal_info_id(authority.root()).empty());
}

TEST_CASE("a directory without renewalInfo, or with one that is no https URL, advises nobody") {
  Asking t;
  CHECK_FALSE(t.directory().renewal_info.empty());
  t.ca.offer_renewal_info(false);
  CHECK(t.directory().renewal_info.empty());
}

TEST_CASE("window, explanation and Retry-After come back as the server sent them") {
  Asking t;
  const auto info = t.answered_with(
      R"({"suggestedWindow":{"start":"2026-12-01T00:00:00Z","end":"2026-12-03T06:00:00+02:00"},
          "explanationURL":"https://ca.example/why"})",
      "21600");
  CHECK(info.value.suggested == Window{*parse_rfc3339("2026-12-01T00:00:00Z"), *parse_rfc3339("2026-12-03T04:00:00Z")});
  CHECK(info.value.explanation_url == "https://ca.example/why");
  CHECK(info.retry_after == t.clock.now() + 6h);
}

TEST_CASE("a window that ends where it starts or before is refused, and so is one without dates") {
  Asking t;
  for (const char* body :
       {R"({"suggestedWindow":{"start":"2026-12-01T00:00:00Z","end":"2026-12-01T00:00:00Z"}})",
        R"({"suggestedWindow":{"start":"2026-12-02T00:00:00Z","end":"2026-12-01T00:00:00Z"}})",
        R"({"suggestedWindow":{"start":"tomorrow","end":"2026-12-01T00:00:00Z"}})",
        R"({"suggestedWindow":{"end":"2026-12-01T00:00:00Z"}})", R"({"suggestedWindow":[]})", "{}", "<html>"}) {
    INFO(body);
    CHECK_THROWS_AS(t.answered_with(body), Error);
  }
}

TEST_CASE("a server that does not know the certificate refuses") {
  Asking t;
  const Directory at = t.directory();
  CHECK_THROWS_AS(fetch_renewal_info(*t.transport, t.clock, at, "AAAA.AAAA", never), ProblemError);
}

TEST_CASE("the directory tells the time of the server") {
  Asking t;
  CHECK(t.directory().date == t.clock.now());
}
