#pragma once

#include <ctime>
#include <string>
#include <vector>

#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent::test {

/// How a strict client or broker looks at a chain.
struct Verification {
  std::string roots;                   ///< PEM: what it trusts, and of a broker what it knows besides.
  std::vector<Certificate> presented;  ///< Leaf first.
  TimePoint at;
  bool as_server = true;  ///< Is the leaf a server's? Else a client's.
  std::string host{};     ///< Name or address that must be in it; empty: any.
  std::string crls{};     ///< PEM; not empty: everything in the chain must be in one that is in date.
};

/// OpenSSL is told the moment as a time_t, which has 32 bits on some machines.
inline constexpr bool verifies_after_2038 = sizeof(std::time_t) > 4;

/// "ok", or why not, in OpenSSL's words: with X509_V_FLAG_X509_STRICT over the whole chain.
std::string verify(const Verification& verification);

}  // namespace acme_agent::test
