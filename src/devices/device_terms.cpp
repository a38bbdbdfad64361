#include <algorithm>
#include <string_view>

#include <acme_agent/base/text.hpp>
#include <acme_agent/devices/device_terms.hpp>

#include "isrg_root_x1.hpp"

namespace acme_agent {
namespace {

std::size_t bytes_of(const CertificateChain& chain) {
  std::size_t bytes = 0;
  for (const Certificate& certificate : chain.certificates()) bytes += certificate.der().size();
  return bytes;
}

std::optional<std::string> why_too_long(const CertificateChain& chain, std::size_t room, std::string_view who) {
  const std::size_t bytes = bytes_of(chain);
  if (room == 0 || bytes <= room) return std::nullopt;
  return "its certificates take " + std::to_string(bytes) + " bytes, and " + std::string(who) + " have room for " +
         std::to_string(room) + ": choose a shorter one with --preferred-chain, or another --profile";
}

std::optional<std::string> why_kind_refuses(const CertificateChain& chain, const DeviceKind& kind) {
  const std::string who(kind.who);
  const std::vector<Certificate>& all = chain.certificates();
  const std::optional<KeyType> key = chain.leaf().key_type();
  if (!key || std::find(kind.key_types.begin(), kind.key_types.end(), *key) == kind.key_types.end())
    return "its key is of type " + std::string(key ? to_string(*key) : "unknown") + ", which " + who +
           " do not take: give them --key-type " + std::string(to_string(kind.key_types.front()));
  for (const Certificate& certificate : all)
    if (kind.rsa_signatures_only && certificate.signature_algorithm() != "RSA-SHA256")
      return "the certificate of " + printable(certificate.subject()) + " is signed with " +
             printable(certificate.signature_algorithm()) + ", and " + who +
             " verify RSA with SHA-256 only: choose another --preferred-chain or another --server";
  if (kind.max_intermediates != 0 && all.size() - 1 > kind.max_intermediates)
    return "it has " + std::to_string(all.size() - 1) + " certificates above the leaf, and " + who + " take " +
           std::to_string(kind.max_intermediates) + ": choose another --preferred-chain or another --server";
  return why_too_long(chain, kind.max_chain_bytes, kind.who);
}

std::string who_of(const DeviceTerms& terms) {
  return terms.kinds.size() == 1 ? std::string(terms.kinds.front()->who) : "the devices";
}

}  // namespace

std::optional<std::string> why_devices_refuse(const CertificateChain& chain, const DeviceTerms& terms, TimePoint now) {
  const std::string who = who_of(terms);
  std::optional<std::string> why = why_too_long(chain, terms.max_chain_bytes, who);
  for (const DeviceKind* kind : terms.kinds)
    if (!why) why = why_kind_refuses(chain, *kind);
  if (!why && terms.roots)
    if (const std::optional<std::string> reason = terms.roots->why_refused(chain, now))
      why = "it leads to '" + printable(chain.top()) + "', and they know only " + terms.roots_name + " (" + *reason +
            "): choose another --preferred-chain or another --server, or name the roots that they know with "
            "--device-trust";
  if (!why) return std::nullopt;
  return who + " would refuse this chain, as " + *why;
}

RootBundle isrg_root_x1() {
  return RootBundle::of_text(isrg_root_x1_pem);
}

}  // namespace acme_agent
