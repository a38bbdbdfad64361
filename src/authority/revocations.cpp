#include "revocations.hpp"

#include <algorithm>
#include <map>

#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/revocation_list.hpp>
#include <acme_agent/sys/file.hpp>

#include "roll_over.hpp"

namespace acme_agent {
namespace {

constexpr Duration day = std::chrono::hours(24);
constexpr Duration list_lifetime = 30 * day;
constexpr Duration kept_on_list = 60 * day;  // RFC 5280 3.3: on one list more than it is in date
constexpr std::size_t largest = 16 << 20;

/// Of a root and of its authority for devices.
struct Lists {
  RevocationList root;
  RevocationList devices;
};

/// As they lie there; nothing where they are missing or damaged.
std::optional<Lists> read_lists(const std::filesystem::path& path, std::string& text) {
  const std::optional<Secret> pem = read_file(path, largest);
  if (!pem) return std::nullopt;
  text = pem->reveal();
  try {
    const std::vector<RevocationList> lists = read_crls(text);
    if (lists.size() == 2) return Lists{lists[0], lists[1]};
  } catch (const Error&) {
  }
  return std::nullopt;
}

std::vector<RevokedCertificate> entries_of(const Root& root, const std::vector<RevokedCertificate>& before,
                                           const std::vector<IssuedDevice>& devices, TimePoint now) {
  std::map<std::string, RevokedCertificate> entries;
  for (const RevokedCertificate& entry : before)
    if (entry.reason != probe_reason || entry.since + list_lifetime + kept_on_list >= now)
      entries.emplace(entry.serial, entry);
  for (const IssuedDevice& device : devices) {
    if (device.issuer != root.id()) continue;
    if (device.revoked) entries.insert({device.serial, {device.serial, *device.revoked, device.reason}});
    if (device.validity.not_after + kept_on_list < now) entries.erase(device.serial);
  }
  std::vector<RevokedCertificate> list;
  for (const auto& [serial, entry] : entries) list.push_back(entry);
  return list;
}

bool same_serials(std::vector<RevokedCertificate> one, std::vector<RevokedCertificate> other) {
  std::ranges::sort(one, {}, &RevokedCertificate::serial);
  std::ranges::sort(other, {}, &RevokedCertificate::serial);
  return std::ranges::equal(one, other, {}, &RevokedCertificate::serial, &RevokedCertificate::serial);
}

/// Two clients with which the list that comes next can be proven: whatever shows another list lets the new one in.
/// The certificate of the revoked one is the first to be written, so that a crash leaves one that is on no list.
RevokedCertificate make_probes(const Root& root, const Issuer& devices, const Validity& validity) {
  std::string serial;
  for (const char* name : {"revoked", "good"}) {
    const PrivateKey key = PrivateKey::generate(KeyType::ec256);
    const Certificate made = issue_client_certificate(devices, key, probe_name, validity);
    write_file(root.folder / (name + std::string(".pem")), made.pem(), Ownership{});
    write_file(root.folder / (name + std::string("_key.pem")), key.to_pem().reveal(), Ownership{});
    if (serial.empty()) serial = made.serial();
  }
  return {serial, validity.not_before, probe_reason};
}

/// The revoked one of the two clients is on this list.
bool goes_with_probes(const RevocationList& list, const Root& root) {
  try {
    const std::string serial = read_certificate(root.folder / "revoked.pem").serial();
    return std::ranges::find(list.revoked, serial, &RevokedCertificate::serial) != list.revoked.end();
  } catch (const Error&) {  // missing or damaged
    return false;
  }
}

/// Signed by now and for a while yet; one that begins later was made by a clock that was wrong.
bool fresh(const RevocationList& list, TimePoint now) {
  return list.this_update <= now && list.next_update && *list.next_update - now > list_lifetime / 2;
}

/// Larger than the number before, also where the list before is lost.
std::uint64_t next_number(std::uint64_t before, TimePoint now) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  return std::max(before + 1, static_cast<std::uint64_t>(std::max<std::int64_t>(seconds, 1)));
}

}  // namespace

std::string revocation_lists(const Root& root, const std::vector<IssuedDevice>& devices,
                             const std::function<std::optional<Secret>()>& passphrase, TimePoint now) {
  const std::filesystem::path path = root.folder / "devices.crl";
  std::string text;
  const Lists before = read_lists(path, text).value_or(Lists{});
  std::vector<RevokedCertificate> revoked = entries_of(root, before.devices.revoked, devices, now);
  if (fresh(before.root, now) && fresh(before.devices, now) && same_serials(revoked, before.devices.revoked) &&
      goes_with_probes(before.devices, root))
    return text;
  const std::optional<Secret> secret = passphrase();
  const Issuer of_root = read_pair(root.folder, "root", secret);
  const Issuer of_devices = read_pair(root.folder, "devices", secret);
  const Validity validity = from_now(now, list_lifetime);
  revoked.push_back(make_probes(root, of_devices, validity));
  const auto signed_list = [&](const Issuer& issuer, const RevocationList& old,
                               std::vector<RevokedCertificate> entries) {
    const TimePoint since = std::max(validity.not_before, issuer.certificate.validity().not_before);
    return make_crl(issuer, {"", next_number(old.number, now), since, validity.not_after, std::move(entries)});
  };
  text = signed_list(of_root, before.root, {}) + signed_list(of_devices, before.devices, revoked);
  write_file(path, text, Ownership{});
  return text;
}

}  // namespace acme_agent
