#include "own_authority.hpp"

#include <algorithm>
#include <functional>
#include <mutex>
#include <utility>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

constexpr Duration day = std::chrono::hours(24);
constexpr Duration soon = 60 * day;

/// What ends soon and has no successor, the name and the day of each.
std::vector<std::string> ending_soon(const std::vector<IssuedDevice>& devices, TimePoint now) {
  std::vector<std::string> ending;
  for (const IssuedDevice& device : devices) {
    const TimePoint end = device.validity.not_after;
    const bool replaced = std::any_of(devices.begin(), devices.end(), [&](const IssuedDevice& other) {
      return other.name == device.name && !other.revoked && other.validity.not_after > end;
    });
    if (device.revoked || replaced || end < now || end > now + soon) continue;
    ending.push_back(device.name + " (" + format_rfc3339(end) + ")");
  }
  return ending;
}

class DevicesOfAuthority final : public ClientAuthority {
 public:
  DevicesOfAuthority(std::filesystem::path folder, AuthorityTerms terms, Log& log)
      : folder_(std::move(folder)), terms_(std::move(terms)), log_(log) {}

  std::optional<ClientFiles> files(TimePoint now) override {
    const std::optional<Authority> authority = Authority::open(folder_, terms_);
    if (!authority) return std::nullopt;
    unless_it_fails([&] { authority->keep(now); });
    ClientFiles files{authority->devices_ca_pem(now), authority->devices_crl_pem(now), std::nullopt};
    unless_it_fails([&] {
      const std::vector<IssuedDevice> devices = authority->list();
      if (devices.empty()) return;
      remind(devices, now);
      ProbeClients probes = authority->probe_clients(now);
      files.proof = ClientProof{std::move(probes.good), std::move(probes.revoked)};
    });
    return files;
  }

  bool exists() const override {
    std::error_code none;
    return std::filesystem::exists(folder_, none);
  }

 private:
  /// Without a list that is in date, a broker refuses every device: nothing else keeps it from getting there.
  void unless_it_fails(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      log_.warning(error.message());
    }
  }

  /// Once a day, for all brokers.
  void remind(const std::vector<IssuedDevice>& devices, TimePoint now) {
    {
      const std::lock_guard lock(mutex_);
      if (reminded_ && *reminded_ <= now && now < *reminded_ + day) return;
      reminded_ = now;
    }
    if (const std::vector<std::string> ending = ending_soon(devices, now); !ending.empty())
      log_.warning("these devices need new certificates soon, by 'acme-agent ca issue NAME': " + join(ending));
  }

  const std::filesystem::path folder_;
  const AuthorityTerms terms_;
  Log& log_;
  std::mutex mutex_;
  std::optional<TimePoint> reminded_;
};

}  // namespace

OwnAuthority issue_with(const std::filesystem::path& folder, const AuthorityTerms& terms, Log& log) {
  return {
      [folder, terms, &log](const PrivateKey& key, const std::vector<Identifier>& names, TimePoint now, bool may_make) {
        std::optional<Authority> authority = Authority::open(folder, terms);
        if (!authority && !may_make)
          throw Error(Remedy::ask_operator, "the authority in " + printable(folder.native()) +
                                                " is gone: put it back from a backup, or 'acme-agent ca init' "
                                                "makes a new one that clients must be told of");
        if (!authority) {
          authority = Authority::open_or_make(folder, terms, now);
          log.info("an authority was made in " + printable(folder.native()) +
                   ": let the clients trust its root, which 'acme-agent ca export' gives");
        }
        return authority->issue_server(key, names, now);
      },
      [folder, terms](const CertificateChain& chain, TimePoint now) {
        const std::optional<Authority> authority = Authority::open(folder, terms);
        if (!authority) return true;  // what it issued is as good as it was
        const std::vector<Certificate> issuers = authority->server_issuers(now);
        const std::vector<Certificate>& held = chain.certificates();
        return std::equal(held.begin() + 1, held.end(), issuers.begin(), issuers.end());
      }};
}

std::shared_ptr<ClientAuthority> clients_of(const std::filesystem::path& folder, const AuthorityTerms& terms,
                                            Log& log) {
  return std::make_shared<DevicesOfAuthority>(folder, terms, log);
}

}  // namespace acme_agent
