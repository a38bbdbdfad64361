#include <acme_agent/crypto/tls_alpn.hpp>

#include "fuzz.hpp"

namespace acme_agent::fuzz {

/// The last octet says how much of the rest comes by itself.
void one_input(std::string_view input) {
  static const CertifiedKey pair =
      make_tls_alpn_certificate({Identifier::Type::dns, "mydyn.example"}, "x", TimePoint());
  bool shown = false;
  TlsAlpnHandshake handshake([&](const std::string& name) {
    expect(name.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string::npos, "names are looked up in lower case",
           name);
    shown = name == "mydyn.example";
    return shown ? std::optional(pair) : std::nullopt;
  });
  const std::size_t first = input.empty() ? 0 : static_cast<unsigned char>(input.back());
  if (!input.empty()) input.remove_suffix(1);
  std::string said = handshake.hear(input.substr(0, first));
  if (first < input.size()) said += handshake.hear(input.substr(first));
  expect(said.size() <= (shown ? 4096 : 64), "a stranger hears an alert at most, and nobody much", said);
  expect(handshake.shown().empty(), "nobody finishes a handshake without having heard our part", handshake.shown());
  if (handshake.over()) expect(handshake.hear("more").empty(), "after the end nothing is said");
}

}  // namespace acme_agent::fuzz
