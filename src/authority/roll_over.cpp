#include "roll_over.hpp"

#include <algorithm>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {
namespace {

using namespace std::chrono_literals;

constexpr Duration servers_lifetime = 1826 * Duration(24h);

bool half_over(const Validity& validity, TimePoint now) {
  return now - validity.not_before >= validity.lifetime() / 2;
}

/// A root and an authority for devices below it, for the same time.
void make_root(const std::filesystem::path& roots, const std::optional<Root>& before, const Making& making) {
  const Validity validity = from_now(making.now, root_lifetime);
  const PrivateKey key = PrivateKey::generate(making.key_type);
  const std::string id = id_of(key);
  const Issuer root{key, acme_agent::make_root(key, "acme-agent root " + id, making.name_constraints, validity)};
  const PrivateKey devices_key = PrivateKey::generate(making.key_type);
  const Issuer devices{devices_key,
                       issue_intermediate(root, devices_key, "acme-agent devices " + id, Certifies::clients, validity)};
  std::optional<Certificate> cross;
  if (before) cross = cross_sign(read_pair(before->folder, "root", making.passphrase), root.certificate);
  place_folder(roots / id, [&](const std::filesystem::path& folder) {
    write_pair(folder, "root", root.key, root.certificate, making.passphrase);
    write_pair(folder, "devices", devices.key, devices.certificate, making.passphrase);
    if (cross) create_file(folder / "cross.pem", cross->pem(), Ownership{});
  });
}

void make_servers(const std::filesystem::path& servers, const Root& root, const Making& making) {
  const Issuer issuer = read_pair(root.folder, "root", making.passphrase);
  const PrivateKey key = PrivateKey::generate(making.key_type);
  const std::string id = id_of(key);
  const Certificate certificate = issue_intermediate(issuer, key, "acme-agent servers " + id, Certifies::servers,
                                                     from_now(making.now, servers_lifetime));
  place_folder(servers / id, [&](const std::filesystem::path& folder) {
    write_pair(folder, "servers", key, certificate, making.passphrase);
  });
}

}  // namespace

Validity from_now(TimePoint now, Duration lifetime) {
  return {now - Duration(1h), now + lifetime};
}

std::vector<Root> roots_in_line(const std::filesystem::path& authority, TimePoint now) {
  std::vector<Root> begun = all_roots(authority);
  std::erase_if(begun, [now](const Root& root) { return root.certificate.validity().not_before > now; });
  std::ranges::sort(begun, {}, [](const Root& root) { return root.certificate.validity().not_before; });
  for (const Root& first : begun) {
    if (first.cross) continue;  // another has signed it
    std::vector<Root> line{first};
    for (const Root& next : begun)
      if (next.cross && next.cross->issuer() == line.back().certificate.subject()) line.push_back(next);
    std::erase_if(line, [now](const Root& root) { return root.certificate.validity().not_after < now; });
    if (!line.empty()) return {line.rbegin(), line.rend()};
  }
  return {};
}

std::optional<Root> newest_root(const std::filesystem::path& authority, TimePoint now) {
  const std::vector<Root> roots = roots_in_line(authority, now);
  if (!roots.empty()) return roots.front();
  const std::optional<TimePoint> first = first_root_since(authority);
  if (first && now < *first)
    throw Error(Remedy::retry,
                "the authority in " + printable(authority.native()) + " was made at " + format_rfc3339(*first) +
                    ", and it is " + format_rfc3339(now) +
                    " here: is the clock right? (if it is, nothing valid was issued yet: move that folder "
                    "away and make another)");
  return std::nullopt;
}

std::optional<Servers> servers_below(const Root& root, const std::filesystem::path& authority, TimePoint now) {
  for (const Servers& servers : servers_in(authority, now))
    if (servers.certificate.signed_by(root.certificate)) return servers;
  return std::nullopt;
}

Current roll_over(const std::filesystem::path& authority, const Making& making) {
  std::optional<Root> root = newest_root(authority, making.now);
  if (!root || half_over(root->certificate.validity(), making.now)) {
    make_root(authority / "roots", root, making);
    root = newest_root(authority, making.now);
  }
  std::optional<Servers> servers = servers_below(root.value(), authority, making.now);
  if (!servers || half_over(servers->certificate.validity(), making.now)) {
    make_servers(authority / "servers", *root, making);
    servers = servers_below(*root, authority, making.now);
  }
  return {*std::move(root), servers.value()};
}

}  // namespace acme_agent
