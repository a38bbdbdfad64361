#include <arpa/inet.h>

#include <charconv>

#include <acme_agent/base/endpoint.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

[[noreturn]] void refuse(std::string_view text, std::string_view rule) {
  throw Error(Remedy::ask_operator, "'" + printable(text) + "' " + std::string(rule));
}

std::uint16_t parse_port(std::string_view digits, std::string_view text, std::string_view rule) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0 || port > 65535) refuse(text, rule);
  return static_cast<std::uint16_t>(port);
}

bool numeric_address(const std::string& host) {
  in6_addr address;
  return inet_pton(AF_INET, host.c_str(), &address) == 1 || inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

}  // namespace

std::string Endpoint::text() const {
  if (host.empty()) return std::to_string(port);
  const bool brackets = host.find(':') != std::string::npos;
  return (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Endpoint parse_endpoint(std::string_view text) {
  constexpr std::string_view rule = "is not HOST:PORT with a port from 1 to 65535 (an IPv6 address goes into brackets)";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) refuse(text, rule);
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    refuse(text, rule);
  if (host.empty() || host.find_first_of(" \t[]/@") != std::string_view::npos) refuse(text, rule);
  return {std::string(host), parse_port(text.substr(colon + 1), text, rule)};
}

Endpoint parse_listen_endpoint(std::string_view text) {
  constexpr std::string_view rule = "is not [ADDRESS:]PORT with a numeric address and a port from 1 to 65535";
  if (text.find(':') == std::string_view::npos) return {"", parse_port(text, text, rule)};
  Endpoint endpoint = parse_endpoint(text);
  if (!numeric_address(endpoint.host)) refuse(text, rule);
  return endpoint;
}

}  // namespace acme_agent
