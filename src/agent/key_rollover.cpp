#include <utility>

#include <acme_agent/acme/session.hpp>
#include <acme_agent/agent/key_rollover.hpp>

namespace acme_agent {

KeyRollover::KeyRollover(Accounts accounts, Transport& transport, const Clock& clock, Directory directory)
    : accounts_(std::move(accounts)), transport_(transport), clock_(clock), directory_(std::move(directory)) {}

Account KeyRollover::roll_over(const Account& account, const std::stop_token& stop) const {
  Session session(transport_, clock_, directory_, account.key, account.url);
  Account changed = account;
  changed.key = PrivateKey::generate(KeyType::ec256);
  accounts_.save_next_key(directory_.url, changed.key);
  session.change_key(changed.key, stop);
  accounts_.save(directory_.url, changed);
  accounts_.forget_next_key(directory_.url);
  return changed;
}

Account KeyRollover::settle(const Account& account, const std::stop_token& stop) const {
  const std::optional<PrivateKey> next = accounts_.next_key(directory_.url);
  if (!next) return account;
  const auto url_by = [&](const PrivateKey& key) {
    return Session(transport_, clock_, directory_, key, "").find_account(stop);
  };
  Account settled = account;
  if (const std::optional<std::string> url = url_by(*next)) {
    settled.key = *next;
    settled.url = *url;
    accounts_.save(directory_.url, settled);
  } else if (!url_by(account.key)) {
    return account;  // the server knows neither now: what is made next will tell
  }
  accounts_.forget_next_key(directory_.url);
  return settled;
}

}  // namespace acme_agent
