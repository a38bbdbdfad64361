#include "broker.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include <acme_agent/base/error.hpp>
#include <acme_agent/crypto/revocation_list.hpp>
#include <acme_agent/sys/tcp.hpp>

namespace acme_agent {

// The probe of the product is at work; only the wire below it is ours, put in its place by the linker.

std::vector<std::string> resolve(const std::string&, Duration, const std::stop_token&) {
  return {"127.0.0.1"};
}

Connection connect_tcp(const std::string&, std::uint16_t, Duration, const std::stop_token&) {
  sim::current_world->step();
  if (sim::listening_broker == nullptr || !sim::listening_broker->up())
    return {FileDescriptor(), true, "connection refused"};
  FileDescriptor socket(::dup(STDIN_FILENO));
  if (!socket.valid()) return {FileDescriptor(), false, "no descriptor is left"};
  return {std::move(socket), false, ""};
}

TlsPeer look_at_tls_server(int, const std::string&, TlsClient client, Duration, const std::stop_token&) {
  TlsPeer peer;
  if (const CertificateChain* shown = sim::listening_broker->shown_to(client)) {
    peer.chain = *shown;
    peer.completed = true;
    peer.asks_for_certificate = sim::listening_broker->asks_devices();
  } else {
    peer.failure = "handshake failure";
  }
  return peer;
}

std::optional<std::string> why_client_is_refused(int, const std::string&, const CertifiedKey& client, Duration,
                                                 const std::stop_token&) {
  const std::string verdict = sim::listening_broker->admits(client.chain.leaf());
  return verdict == "ok" ? std::nullopt : std::optional(verdict);
}

bool opens_websocket(int, const std::string&, Duration, const std::stop_token&) {
  return false;
}

namespace sim {

const Broker* listening_broker = nullptr;

namespace {

std::size_t slot_of(KeyType type) {
  return is_rsa(type) ? 0 : 1;
}

class Hangup final : public Reloader {
 public:
  Hangup(World& world, Broker& broker) : world_(world), broker_(broker) {}

  std::string describe() const override { return "process:mosquitto"; }

  std::vector<Process> targets() const override {
    if (!broker_.up()) return {};
    Process process;
    process.pid = broker_.pid();
    process.name = "mosquitto";
    process.start_time = static_cast<std::uint64_t>(broker_.pid());
    process.uid = ::geteuid();
    process.gid = ::getegid();
    process.survives_hangup = true;
    return {process};
  }

  bool reload(const Deployed&, const std::stop_token&) override {
    world_.step();
    const bool somebody = broker_.up();
    if (somebody) broker_.reload();
    world_.step();
    return somebody;
  }

 private:
  World& world_;
  Broker& broker_;
};

}  // namespace

void Broker::start() {
  ++pid_;
  slots_ = {};
  load_and_note();
  up_ = shown_to(TlsClient::standard) != nullptr;
  refused_to_start_ = !up_ && !world_.is_on(Fault::files_unreadable) && !world_.is_on(Fault::key_unreadable);
}

void Broker::remember_readable() {
  std::error_code none;
  readable_ = std::filesystem::canonical(folder_ / "fullchain.pem", none).parent_path();
}

bool Broker::may_read(const char* file, Fault fault) const {
  std::error_code none;
  return !world_.is_on(fault) || std::filesystem::canonical(folder_ / file, none).parent_path() == readable_;
}

void Broker::reload() {
  if (up_) load_and_note();
}

void Broker::load_and_note() {
  load();
  shown_.reset();
  if (const CertificateChain* chain = shown_to(TlsClient::standard)) {
    const Certificate& leaf = chain->leaf();
    shown_ = {leaf.fingerprint_sha256(), leaf.validity(), is_rsa(leaf.key_type().value()), leaf.placeholder()};
  }
}

void Broker::load() {
  const Unlimited as_another_process;
  if (asks_devices_) slots_ = {};
  if (!may_read("fullchain.pem", Fault::files_unreadable)) return;
  if (asks_devices_ && !load_lists()) return;
  try {
    const std::optional<Secret> pem = read_file(folder_ / "fullchain.pem");
    if (!pem) return;
    const CertificateChain chain = CertificateChain::from_pem(pem->reveal());
    Slot& slot = slots_.at(slot_of(chain.leaf().key_type().value()));
    // As SSL_CTX_use_certificate: a key that does not fit is dropped.
    if (slot.key && !chain.leaf().has_public_key_of(*slot.key)) slot.key.reset();
    slot.chain = chain;
    if (!may_read("privkey.pem", Fault::key_unreadable)) return;
    const std::optional<Secret> key_pem = read_file(folder_ / "privkey.pem");
    if (!key_pem) return;
    const PrivateKey key = PrivateKey::from_pem(*key_pem);
    Slot& other = slots_.at(slot_of(key.type()));
    // As SSL_CTX_use_PrivateKey: a certificate that does not fit stays, without a key.
    if (other.chain && !other.chain->leaf().has_public_key_of(key)) return;
    other.key = key;
  } catch (const Error&) {  // a line in its log
  }
}

bool Broker::load_lists() {
  const std::optional<Secret> ca = read_file(folder_ / "devices-ca.pem");
  const std::optional<Secret> crl = read_file(folder_ / "devices.crl");
  if (!ca || !crl) return false;
  if (ca->reveal() == ca_ && crl->reveal() == crl_) return true;
  ca_ = ca->reveal();
  crl_ = crl->reveal();
  opinions_.clear();
  lists_until_.reset();
  for (const RevocationList& list : read_crls(crl_))
    lists_until_ = std::min(lists_until_.value_or(*list.next_update), *list.next_update);
  return true;
}

std::string Broker::admits(const Certificate& device) const {
  if (ca_.empty()) return "no cafile was read";
  const TimePoint now = world_.now() + world_.clock_offset();
  const auto known = opinions_.try_emplace(device.handle(), OfDevice{device, {}}).first;
  return known->second.opinion.at(now, "", [&] { return test::Verification{ca_, {device}, now, false, "", crl_}; });
}

const CertificateChain* Broker::shown_to(TlsClient client) const {
  const Slot& rsa = slots_[0];
  const Slot& ec = slots_[1];
  if (client == TlsClient::standard && ec.usable()) return &*ec.chain;
  return rsa.usable() ? &*rsa.chain : nullptr;
}

std::shared_ptr<Reloader> reload_by_hangup(World& world, Broker& broker) {
  return std::make_shared<Hangup>(world, broker);
}

}  // namespace sim
}  // namespace acme_agent
