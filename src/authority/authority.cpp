#include <algorithm>
#include <thread>

#include <acme_agent/authority/authority.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/file_lock.hpp>

#include "documents.hpp"
#include "revocations.hpp"
#include "roll_over.hpp"
#include "storage.hpp"

namespace acme_agent {
namespace {

using namespace std::chrono_literals;

constexpr Duration server_lifetime = 90 * Duration(24h);
constexpr std::size_t largest_record = 64 << 20;

/// One process at a time; the others work for less than a second, so that they are waited for.
FileLock lock(const std::filesystem::path& authority) {
  std::filesystem::path path = authority;
  path += ".lock";
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (true) {
    auto result = FileLock::try_acquire(path);
    if (auto* locked = std::get_if<FileLock>(&result)) return std::move(*locked);
    if (std::chrono::steady_clock::now() >= deadline)
      throw Error(Remedy::retry, "the authority in " + printable(authority.native()) +
                                     " is in use by the process with the id " +
                                     std::to_string(std::get<FileLock::Holder>(result).pid));
    std::this_thread::sleep_for(20ms);
  }
}

std::vector<IssuedDevice> read_devices(const std::filesystem::path& authority) {
  const std::filesystem::path path = authority / "issued.json";
  const std::optional<Secret> text = read_file(path, largest_record);
  if (!text) throw missing(path);
  try {
    return devices_from_json(text->reveal());
  } catch (const Error& error) {
    throw error.while_doing(printable(path.native()));
  }
}

void write_devices(const std::filesystem::path& authority, const std::vector<IssuedDevice>& devices) {
  write_file(authority / "issued.json", to_json(devices), Ownership{});
}

[[noreturn]] void refuse_name(const std::string& name, const std::vector<NameConstraint>& constraints) {
  std::vector<std::string> words;
  for (const NameConstraint& constraint : constraints) words.push_back(to_string(constraint));
  throw Error(Remedy::ask_operator, "our authority may not certify '" + printable(name, 300) + "': it was made for " +
                                        join(words) + " only, and its root says so");
}

/// As people write it: with colons, or in capitals.
std::string as_serial(std::string_view text) {
  std::string digits;
  for (const char c : text)
    if (c != ':') digits += c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  return digits;
}

}  // namespace

void check_device_name(std::string_view name) {
  constexpr std::string_view letters_and_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  const std::string allowed = std::string(letters_and_digits) + "._-";
  if (name == probe_name)
    throw Error(Remedy::ask_operator, "the name '" + printable(name) +
                                          "' is that of the clients with which the agent probes the broker: give the "
                                          "device another one");
  if (!name.empty() && name.size() <= 64 && name.find_first_not_of(allowed) == std::string_view::npos &&
      letters_and_digits.find(name.front()) != std::string_view::npos)
    return;
  throw Error(Remedy::ask_operator,
              "'" + printable(name, 80) +
                  "' cannot be the name of a device, which is its user name at the broker and stands in topics: at "
                  "most 64 letters, digits, dots, underscores and hyphens, a letter or a digit first");
}

Authority::Authority(std::filesystem::path folder, const AuthorityTerms& terms)
    : folder_(std::move(folder)),
      key_type_(terms.key_type),
      name_constraints_(terms.name_constraints),
      passphrase_(terms.passphrase ? terms.passphrase : [] { return std::optional<Secret>(); }) {}

std::optional<Authority> Authority::open(std::filesystem::path folder, const AuthorityTerms& terms) {
  if (!is_there(folder)) return std::nullopt;
  const std::filesystem::path path = folder / "authority.json";
  const std::optional<Secret> text = read_file(path);
  std::error_code none;
  if (!text && std::filesystem::is_empty(folder, none))
    throw Error(Remedy::ask_operator, "there is nothing in the folder of the authority, " + printable(folder.native()) +
                                          ": remove it, or put it back from a backup");
  if (!text) throw missing(path);
  try {
    AuthorityTerms kept = terms_from_json(text->reveal());
    kept.passphrase = terms.passphrase;
    return Authority(std::move(folder), kept);
  } catch (const Error& error) {
    throw error.while_doing(printable(path.native()));
  }
}

Authority Authority::open_or_make(std::filesystem::path folder, const AuthorityTerms& terms, TimePoint now) {
  if (std::optional<Authority> found = open(folder, terms)) return *std::move(found);
  const FileLock locked = lock(folder);
  if (std::optional<Authority> found = open(folder, terms)) return *std::move(found);
  const Authority made(folder, terms);
  place_folder(folder, [&](const std::filesystem::path& place) {
    for (const char* part : {"roots", "servers", "issued"}) make_folder(place / part, 0700);
    create_file(place / "authority.json", to_json(terms), Ownership{});
    create_file(place / "issued.json", to_json(std::vector<IssuedDevice>()), Ownership{});
    roll_over(place, {terms.key_type, terms.name_constraints, made.passphrase_(), now});
  });
  return made;
}

void Authority::encrypt_keys() const {
  const std::optional<Secret> passphrase = passphrase_();
  if (!passphrase) return;
  const FileLock locked = lock(folder_);
  acme_agent::encrypt_keys(folder_, *passphrase);
}

bool Authority::keys_encrypted() const {
  return acme_agent::keys_encrypted(folder_);
}

void Authority::keep(TimePoint now) const {
  const FileLock locked = lock(folder_);
  roll_over(folder_, {key_type_, name_constraints_, passphrase_(), now});
}

CertificateChain Authority::issue_server(const PublicKey& key, const std::vector<Identifier>& names,
                                         TimePoint now) const {
  for (const Identifier& name : names)
    if (!permitted(name, name_constraints_)) refuse_name(name.value, name_constraints_);
  const FileLock locked = lock(folder_);
  const Current current = roll_over(folder_, {key_type_, name_constraints_, passphrase_(), now});
  const Issuer issuer = read_pair(current.servers.folder, "servers", passphrase_());
  std::vector<Certificate> chain = server_issuers(now);
  chain.insert(chain.begin(), issue_server_certificate(issuer, key, names, from_now(now, server_lifetime)));
  return CertificateChain(std::move(chain));
}

std::vector<Certificate> Authority::server_issuers(TimePoint now) const {
  const std::optional<Root> root = newest_root(folder_, now);
  if (!root) return {};
  std::vector<Certificate> issuers;
  if (const std::optional<Servers> servers = servers_below(*root, folder_, now))
    issuers.push_back(servers->certificate);
  if (root->cross && root->cross->validity().contains(now)) issuers.push_back(*root->cross);
  return issuers;
}

CertificateChain Authority::issue_device(const PublicKey& key, const std::string& name, const std::string& kind,
                                         Duration lifetime, TimePoint now) const {
  check_device_name(name);
  // A broker's OpenSSL takes a common name with a dot for a host's.
  if (name.find('.') != std::string::npos && !permitted({Identifier::Type::dns, name}, name_constraints_))
    refuse_name(name, name_constraints_);
  const FileLock locked = lock(folder_);
  std::vector<IssuedDevice> devices = read_devices(folder_);
  const Root root = roll_over(folder_, {key_type_, name_constraints_, passphrase_(), now}).root;
  const Issuer issuer = read_pair(root.folder, "devices", passphrase_());
  const Certificate issued = issue_client_certificate(issuer, key, name, from_now(now, lifetime));
  create_file(folder_ / "issued" / (issued.serial() + ".pem"), issued.pem(), Ownership{});
  devices.push_back({issued.serial(), name, kind, root.id(), issued.validity()});
  write_devices(folder_, devices);
  return CertificateChain({issued, issuer.certificate});
}

std::vector<IssuedDevice> Authority::list() const {
  return read_devices(folder_);
}

std::vector<IssuedDevice> Authority::revoke(const std::string& name_or_serial, std::optional<int> reason,
                                            TimePoint now) const {
  const FileLock locked = lock(folder_);
  std::vector<IssuedDevice> devices = read_devices(folder_);
  std::vector<IssuedDevice> revoked;
  for (IssuedDevice& device : devices) {
    const bool meant = device.serial == as_serial(name_or_serial) || device.name == name_or_serial;
    if (!meant || device.validity.not_after < now) continue;
    if (!device.revoked) {
      device.revoked = now;
      device.reason = reason;
    }
    revoked.push_back(device);
  }
  if (revoked.empty())
    throw Error(Remedy::ask_operator, "there is no certificate of '" + printable(name_or_serial, 80) +
                                          "' that is in date ('acme-agent ca list' shows all)");
  const std::vector<Root> roots = roots_in(folder_, now);
  if (roots.empty())
    throw Error(Remedy::retry, "no root of the authority is valid at " + format_rfc3339(now) +
                                   ", which is the time here, so that nothing can be revoked: is the clock right?");
  // On the lists first: what cannot be signed is not on record as done, and can be asked for again.
  for (const Root& root : roots) revocation_lists(root, devices, passphrase_, now);
  write_devices(folder_, devices);
  return revoked;
}

std::vector<Certificate> Authority::roots(TimePoint now) const {
  std::vector<Certificate> certificates;
  for (const Root& root : roots_in_line(folder_, now)) certificates.push_back(root.certificate);
  return certificates;
}

std::string Authority::devices_ca_pem(TimePoint now) const {
  std::string pem;
  for (const Root& root : roots_in(folder_, now)) pem += root.certificate.pem() + root.devices.pem();
  return pem;
}

std::string Authority::devices_crl_pem(TimePoint now) const {
  const FileLock locked = lock(folder_);
  std::vector<IssuedDevice> devices;
  try {
    devices = read_devices(folder_);
  } catch (const Error&) {
    // Without a list, brokers would refuse every device: what is revoked stays so, and who issues or revokes is told.
  }
  std::string pem;
  for (const Root& root : roots_in(folder_, now)) pem += revocation_lists(root, devices, passphrase_, now);
  return pem;
}

ProbeClients Authority::probe_clients(TimePoint now) const {
  const std::optional<Root> root = newest_root(folder_, now);
  if (!root) throw Error(Remedy::retry, "the authority has no root that is in date");
  const auto client = [&](const char* name) {
    const Issuer pair = read_pair(root->folder, name, std::nullopt);
    return CertifiedKey{pair.key, CertificateChain({pair.certificate, root->devices})};
  };
  return {client("good"), client("revoked")};
}

}  // namespace acme_agent
