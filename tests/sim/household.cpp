#include "household.hpp"

#include <algorithm>
#include <utility>

#include <acme_agent/authority/renewal_due.hpp>
#include <acme_agent/base/dates.hpp>

namespace acme_agent::sim {
namespace {

// What is promised, each with the patience that the promise itself has.
constexpr Duration mended_within = 26h;          // after the last fault
constexpr Duration chain_follows_within = 26h;   // a new root, which is looked for once a day
constexpr Duration lists_follow_within = 10min;  // a command, which tells the agent
constexpr Duration lists_in_hand = days(15);     // a list of 30 days is signed again when half of them are over

/// What is done here is another process's: the agent's limits and its death are not ours.
class Elsewhere {
 public:
  Elsewhere() : world_(std::exchange(current_world, nullptr)) {}
  ~Elsewhere() { current_world = world_; }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;

 private:
  World* const world_;
};

int seen(const std::set<std::string>& all) {
  return std::max(0, static_cast<int>(all.size()) - 1);
}

}  // namespace

void HouseholdCounts::add(const HouseholdCounts& other) {
  clients += other.clients;
  devices += other.devices;
  revoked += other.revoked;
  verdicts += other.verdicts;
  forced += other.forced;
  roots += other.roots;
  servers += other.servers;
  device_issuers += other.device_issuers;
}

Household::Household(World& world, const Broker& broker, std::filesystem::path authority, std::uint64_t seed,
                     std::function<void(bool force)> tell_agent, std::function<void(const std::string&)> condemn)
    : world_(world),
      broker_(broker),
      folder_(std::move(authority)),
      dice_(seed ^ 0x40e5eu),
      tell_agent_(std::move(tell_agent)),
      condemn_(std::move(condemn)),
      next_hour_(world.now()),
      next_day_(world.now()) {}

void Household::live(const std::optional<Validity>& held) {
  if (world_.now() < next_hour_) return;
  next_hour_ = world_.now() + 1h;
  if (held) call_owner(*held);
  if (world_.now() >= next_day_ && owner_can_work()) {
    next_day_ = world_.now() + days(1);
    work();
  }
  judge();
}

/// The commands are of the same machine: nobody uses them while it is out of order.
bool Household::owner_can_work() const {
  for (const Fault fault : {Fault::clock_wrong, Fault::disk_full, Fault::no_descriptors, Fault::files_unreadable,
                            Fault::key_unreadable, Fault::owner_awaited})
    if (world_.is_on(fault)) return false;
  return true;
}

void Household::work() {
  const Elsewhere another_process;
  const std::optional<Authority> authority = Authority::open(folder_, {});
  if (!authority) return;
  tell_clients(*authority);
  renew_devices(*authority);
  const auto today = [this](double per_year) { return dice_.chance(per_year / 365.25); };
  const bool first = devices_.empty();
  while (first && static_cast<int>(devices_.size()) < first_devices) issue_to(*authority, "");
  if (today(new_devices_per_year) && static_cast<int>(devices_.size()) < most_devices) issue_to(*authority, "");
  if (today(revocations_per_year)) revoke_one(*authority);
  for (Device& device : devices_)
    if (today(absences_per_year) && device.away_until < world_.now())
      device.away_until = world_.now() + dice_.around(shortest_absence, longest_absence);
}

void Household::tell_clients(const Authority& authority) {
  const auto newest = [&] { return authority.roots(world_.now()).front(); };
  const auto until = [&] { return world_.now() + dice_.between(shortest_until_told_again, longest_until_told_again); };
  const std::size_t known = clients_.size();
  const bool one_more = dice_.chance(new_clients_per_year / 365.25) && static_cast<int>(known) < most_clients;
  for (Client& client : clients_)
    if (world_.now() >= client.told_again) {
      client = {newest(), world_.now(), until()};
      ++counts_.clients;
    }
  for (std::size_t i = known; i < (known == 0 ? first_clients : known + (one_more ? 1 : 0)); ++i) {
    clients_.push_back({newest(), world_.now(), until()});
    ++counts_.clients;
  }
}

/// `acme-agent ca issue`: the device gets the newest root with it. A device of that name gets a new one, else it is a
/// new device.
void Household::issue_to(const Authority& authority, const std::string& name) {
  const std::string known = authority.devices_ca_pem(world_.now());
  const bool first = authority.list().empty();
  const PrivateKey key = PrivateKey::generate(KeyType::ec256);
  const Duration lifetime = std::min(dice_.between(shortest_device_lifetime, 11 * days(365)), longest_device_lifetime);
  const std::string called = name.empty() ? "device-" + std::to_string(++names_) : name;
  const Certificate made = authority.issue_device(key, called, "tasmota", lifetime, world_.now()).leaf();
  Device device{called, made, authority.roots(world_.now()).front(), world_.now()};
  device_issuers_.insert(device.certificate.issuer());
  ++counts_.devices;
  const auto before = std::ranges::find(devices_, device.name, &Device::name);
  if (before == devices_.end())
    devices_.push_back(std::move(device));
  else
    *before = std::move(device);
  if (first || authority.devices_ca_pem(world_.now()) != known) tell_agent_(false);
}

/// What the log and `ca list` say is due, once a week, and whatever has ended while its device was away.
void Household::renew_devices(const Authority& authority) {
  if (std::chrono::floor<days>(world_.now()).time_since_epoch().count() % 7 != 0) return;
  const std::set<std::string> due = renewal_due(authority.list(), world_.now());
  std::vector<std::string> names;
  for (const Device& device : devices_) {
    const bool ended = device.certificate.validity().not_after < world_.now();
    if (!device.revoked && device.away_until < world_.now() && (ended || due.contains(device.certificate.serial())))
      names.push_back(device.name);
  }
  for (const std::string& name : names) issue_to(authority, name);
  std::erase_if(devices_, [this](const Device& device) {
    return device.revoked && device.certificate.validity().not_after < world_.now();
  });
}

void Household::revoke_one(const Authority& authority) {
  Device& device = devices_.at(static_cast<std::size_t>(dice_.below(static_cast<int>(devices_.size()))));
  if (device.revoked || device.certificate.validity().not_after < world_.now()) return;
  authority.revoke(device.certificate.serial(), std::nullopt, world_.now());
  device.revoked = world_.now();
  device.away_until = TimePoint();  // whoever took it tries
  ++counts_.revoked;
  tell_agent_(false);
}

/// Where nobody can be asked the time, the agent says that a certificate which begins later goes with --force.
void Household::call_owner(const Validity& held) {
  if (world_.is_on(Fault::clock_wrong) || world_.is_on(Fault::owner_awaited) || held.not_before <= world_.now() + 1h)
    return;
  ++counts_.forced;
  world_.begin_fault(Fault::owner_awaited,
                     world_.now() + dice_.around(shortest_until_owner_comes, longest_until_owner_comes));
}

void Household::owner_comes() {
  if (!world_.is_on(Fault::clock_wrong)) tell_agent_(true);
}

void Household::judge() {
  if (!broker_.up()) return;
  const CertificateChain* chain = broker_.shown_to(TlsClient::standard);
  if (chain == nullptr || broker_.shown()->placeholder) return;
  judge_lists();
  if (world_.calm_here_for() <= mended_within) return;
  note_roll_overs(*chain);
  const std::string& fingerprint = broker_.shown()->fingerprint;
  for (Client& client : clients_) judge_client(client, *chain, fingerprint);
  for (Device& device : devices_)
    if (device.away_until < world_.now() && device.certificate.validity().contains(world_.now()))
      judge_device(device, *chain, fingerprint);
}

bool Household::accepts(Opinion& opinion, const Certificate& root, const CertificateChain& chain,
                        const std::string& fingerprint, std::string& why) {
  why = opinion.at(world_.now(), fingerprint, [&] {
    return test::Verification{root.pem(), chain.certificates(), world_.now(), true, "mqtt.example.org"};
  });
  counts_.verdicts += why == "ok";
  return why == "ok";
}

void Household::judge_client(Client& client, const CertificateChain& chain, const std::string& fingerprint) {
  std::string why;
  if (accepts(client.of_broker, client.root, chain, fingerprint, why)) return;
  if (world_.now() > client.told + chain_follows_within)
    condemn_("a client that was told " + client.root.subject() + " at " + format_rfc3339(client.told) +
             " refuses the broker: " + why);
}

void Household::judge_device(Device& device, const CertificateChain& chain, const std::string& fingerprint) {
  const std::string& admitted = broker_.admits(device.certificate);
  const TimePoint changed = device.revoked.value_or(device.issued);
  const bool as_it_has_to_be = device.revoked ? admitted == "certificate revoked" : admitted == "ok";
  if (as_it_has_to_be)
    ++counts_.verdicts;
  else if (world_.now() > changed + lists_follow_within)
    condemn_(device.name + ", which got its certificate at " + format_rfc3339(device.issued) +
             (device.revoked ? " and was revoked at " + format_rfc3339(*device.revoked) : "") +
             ", hears at the broker: " + admitted);
  std::string why;
  if (!accepts(device.of_broker, device.root, chain, fingerprint, why) &&
      world_.now() > device.issued + chain_follows_within)
    condemn_(device.name + ", set up at " + format_rfc3339(device.issued) + ", refuses the broker: " + why);
}

/// A list that has ended keeps every device out; a list by a wrong clock is judged by what devices hear.
void Household::judge_lists() {
  const std::optional<TimePoint> until = broker_.lists_until();
  if (!until || world_.now() <= *until || lists_lapsed_ == *until || world_.is_on(Fault::clock_wrong)) return;
  lists_lapsed_ = *until;
  const TimePoint due = *until - lists_in_hand;
  if (world_.troubled(due) + mended_within < lists_in_hand)
    condemn_("the list of what is revoked ended at " + format_rfc3339(*until) + ", and faults took " +
             describe(world_.troubled(due)) + " of the " + describe(lists_in_hand) + " before");
}

void Household::note_roll_overs(const CertificateChain& chain) {
  if (chain.certificates().size() < 2) return;
  servers_.insert(chain.certificates()[1].subject());
  roots_.insert(chain.certificates()[1].issuer());
  counts_.servers = seen(servers_);
  counts_.roots = seen(roots_);
  counts_.device_issuers = seen(device_issuers_);
}

}  // namespace acme_agent::sim
