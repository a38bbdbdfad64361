#include <acme_agent/base/entries.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/store/state.hpp>
#include <acme_agent/sys/file.hpp>
#include <acme_agent/sys/generations.hpp>

#include "documents.hpp"

namespace acme_agent {

std::optional<Held> CertificateState::held() const {
  const GenerationFolder folder(folder_ / "held");
  // One generation for all reads, as `status` looks while the agent switches; plain files come from a restored backup.
  const std::filesystem::path generation = folder.current().value_or(folder.path());
  const auto issued = read_sound_document<IssuedDocument>(generation / "issued.json");
  const std::optional<PrivateKey> key = read_key(generation / "privkey.pem");
  const std::optional<CertificateChain> chain = read_chain(generation / "fullchain.pem");
  if (!key || !chain || !chain->leaf().has_public_key_of(*key)) return std::nullopt;
  return Held{{*key, *chain}, issued ? issued->server : "", issued ? issued->order : ""};
}

std::string CertificateState::held_stamp() const {
  return GenerationFolder(folder_ / "held").stamp({"fullchain.pem", "privkey.pem", "issued.json"});
}

void CertificateState::hold(const Held& held) const {
  GenerationFolder folder(folder_ / "held");
  make_folder(folder.path(), 0700);
  const std::vector<GenerationFolder::File> files = {
      {"fullchain.pem", Secret(held.pair.chain.pem())},
      {"privkey.pem", held.pair.key.to_pem()},
      {"issued.json", Secret(to_json(IssuedDocument{held.server, held.order_url}))}};
  folder.activate(folder.prepare(files, Ownership{}));
}

std::optional<Pending> CertificateState::pending() const {
  const std::filesystem::path folder = folder_ / "pending";
  const auto document = read_sound_document<OrderDocument>(folder / "order.json");
  if (!document) return std::nullopt;
  const std::optional<PrivateKey> key = read_key(folder / "key.pem");
  if (!key || document->key != key->thumbprint()) return std::nullopt;
  return Pending{*key, document->identifiers, document->orders};
}

void CertificateState::save_pending(const Pending& pending) const {
  const std::filesystem::path folder = folder_ / "pending";
  make_folder(folder, 0700);
  const bool ordered = !pending.orders.empty();
  write_file(folder / "key.pem", pending.key.to_pem().reveal(), Ownership{}, ordered ? Sync::content : Sync::none);
  const OrderDocument document{pending.orders, pending.key.thumbprint(), pending.identifiers};
  write_file(folder / "order.json", to_json(document), Ownership{}, ordered ? Sync::folder : Sync::none);
}

void CertificateState::clear_pending() const noexcept {
  std::error_code none;
  for (const std::filesystem::path& entry : entries_of(folder_ / "pending", none)) {
    std::error_code left;
    std::filesystem::remove(entry, left);
  }
}

std::optional<PrivateKey> CertificateState::next_key() const {
  return read_key(folder_ / "next_key.pem");
}

void CertificateState::save_next_key(const PrivateKey& key) const {
  write_file(folder_ / "next_key.pem", key.to_pem().reveal(), Ownership{}, Sync::folder);
}

void CertificateState::choose_next_key() const {
  std::error_code error;
  std::filesystem::rename(folder_ / "next_key.pem", folder_ / "chosen_key.pem", error);
  if (error) throw_errno("cannot rename", folder_ / "next_key.pem", error.value());
  sync_folder(folder_);
}

std::optional<PrivateKey> CertificateState::chosen_key() const {
  return read_key(folder_ / "chosen_key.pem");
}

void CertificateState::clear_chosen_key() const noexcept {
  std::error_code left;
  std::filesystem::remove(folder_ / "chosen_key.pem", left);
}

std::optional<Revocation> CertificateState::revocation() const {
  const std::filesystem::path path = folder_ / "revoked.json";
  try {
    return read_document<Revocation>(path);
  } catch (const Damaged& damage) {
    throw Error(Remedy::ask_operator,
                printable(path.native()) + " is damaged (" + damage.why +
                    "), and might have told that a key is compromised: remove it, and revoke again if need be");
  }
}

void CertificateState::save_revocation(const Revocation& revocation) const {
  write_file(folder_ / "revoked.json", to_json(revocation), Ownership{}, Sync::folder);
}

CertificateState::Loaded CertificateState::load_record() const {
  const std::filesystem::path path = folder_ / "record.json";
  try {
    return {read_document<Record>(path).value_or(Record{}), ""};
  } catch (const Damaged& damage) {
    std::error_code error;
    std::filesystem::rename(path, path.string() + ".damaged", error);
    return {Record{}, printable(path.native()) + " is damaged (" + damage.why + ") and starts afresh; " +
                          (error ? "it could not be kept aside: " + error.message()
                                 : "what was there is kept as record.json.damaged")};
  }
}

Record CertificateState::peek_record() const {
  try {
    return read_document<Record>(folder_ / "record.json").value_or(Record{});
  } catch (const Damaged&) {
    return {};
  }
}

void CertificateState::save_record(const Record& record) const {
  make_folder(folder_, 0700);
  write_file(folder_ / "record.json", to_json(record), Ownership{}, Sync::none);
}

void CertificateState::refuse_newer() const {
  for (const char* file : {"record.json", "held/issued.json", "pending/order.json", "revoked.json"})
    acme_agent::refuse_newer(folder_ / file);
}

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::ari:
      return "ari";
    case Reason::lifetime:
      return "lifetime";
    case Reason::missing:
      return "missing";
    case Reason::changed:
      return "changed";
    case Reason::retry:
      return "retry";
    case Reason::forced:
      return "forced";
    case Reason::revoked:
      return "revoked";
  }
  return "";
}

}  // namespace acme_agent
