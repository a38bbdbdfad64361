#include "own_authority.hpp"

#include <algorithm>
#include <functional>
#include <mutex>
#include <utility>

#include <acme_agent/authority/renewal_due.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/text.hpp>

namespace acme_agent {
namespace {

constexpr Duration day = std::chrono::hours(24);

/// The command for each whose certificate ends soon, and when it does.
std::vector<std::string> renewals(const std::vector<IssuedDevice>& devices, TimePoint now) {
  const std::set<std::string> due = renewal_due(devices, now);
  std::vector<std::string> commands;
  for (const IssuedDevice& device : devices)
    if (due.contains(device.serial))
      commands.push_back("'acme-agent ca issue " + device.name + " --for " + device.kind + "' (until " +
                         format_rfc3339(device.validity.not_after) + ")");
  return commands;
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
    if (const std::vector<std::string> commands = renewals(devices, now); !commands.empty())
      log_.warning("these devices need new certificates soon: " + join(commands));
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
