#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <acme_agent/authority/authority.hpp>

#include "broker.hpp"
#include "opinion.hpp"
#include "world.hpp"

namespace acme_agent::sim {

/// What came of a household, for people.
struct HouseholdCounts {
  int clients = 0;   ///< Times that one was told a root.
  int devices = 0;   ///< Certificates that devices got.
  int revoked = 0;   ///< Of these.
  int verdicts = 0;  ///< That were as they have to be.
  int forced = 0;    ///< Times that the owner had to come for a certificate of a clock that was ahead.
  int roots = 0;     ///< Roll-overs that were seen at the broker and in certificates of devices.
  int servers = 0;
  int device_issuers = 0;

  void add(const HouseholdCounts& other);
};

/// Who lives with a broker whose certificate is of our own authority: clients that know one root of it, devices with
/// certificates of it that are away for months, and their owner, who sets them up, renews and revokes them. Judges once
/// an hour whether each accepts the broker, and is let in or not as it has to be.
class Household {
 public:
  /// `tell_agent` is `acme-agent renew`, with --force or without.
  Household(World& world, const Broker& broker, std::filesystem::path authority, std::uint64_t seed,
            std::function<void(bool force)> tell_agent, std::function<void(const std::string&)> condemn);

  /// `held` is what the agent has; nothing before the first one.
  void live(const std::optional<Validity>& held);
  /// Who was awaited does what the agent has asked for.
  void owner_comes();
  const HouseholdCounts& counts() const { return counts_; }

 private:
  struct Client {
    Certificate root;
    TimePoint told;
    TimePoint told_again;
    Opinion of_broker{};
  };
  struct Device {
    std::string name;
    Certificate certificate;
    Certificate root;
    TimePoint issued;
    std::optional<TimePoint> revoked{};
    TimePoint away_until{};
    Opinion of_broker{};
  };

  bool owner_can_work() const;
  void work();
  void tell_clients(const Authority& authority);
  void issue_to(const Authority& authority, const std::string& name);
  void renew_devices(const Authority& authority);
  void revoke_one(const Authority& authority);
  void call_owner(const Validity& held);

  void judge();
  void judge_client(Client& client, const CertificateChain& chain, const std::string& fingerprint);
  void judge_device(Device& device, const CertificateChain& chain, const std::string& fingerprint);
  void judge_lists();
  void note_roll_overs(const CertificateChain& chain);
  bool accepts(Opinion& opinion, const Certificate& root, const CertificateChain& chain, const std::string& fingerprint,
               std::string& why);

  World& world_;
  const Broker& broker_;
  const std::filesystem::path folder_;
  Dice dice_;
  const std::function<void(bool)> tell_agent_;
  const std::function<void(const std::string&)> condemn_;
  std::vector<Client> clients_;
  std::vector<Device> devices_;
  int names_ = 0;
  TimePoint next_hour_;
  TimePoint next_day_;
  TimePoint lists_lapsed_{};
  std::set<std::string> roots_;
  std::set<std::string> servers_;
  std::set<std::string> device_issuers_;
  HouseholdCounts counts_;
};

}  // namespace acme_agent::sim
