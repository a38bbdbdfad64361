#pragma once

#include <string_view>

#include <acme_agent/base/clock.hpp>

namespace acme_agent {

/// A limit as a bucket of tokens: so many at once, and one more each `refill`.
struct RateLimit {
  int burst;
  Duration refill;
};

/// What is known about a public server.
struct KnownServer {
  std::string_view url;
  std::string_view name;
  bool staging;                  ///< No device accepts its certificates.
  RateLimit orders;              ///< Of one account.
  RateLimit failed_validations;  ///< Of one name and account.
  RateLimit same_names;          ///< Certificates for exactly the same names.
};

/// Null: nothing is known.
const KnownServer* known_server(std::string_view directory_url);

bool is_staging(std::string_view directory_url);

}  // namespace acme_agent
