#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/identifier.hpp>
#include <acme_agent/base/window.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/private_key.hpp>

namespace acme_agent {

/// An account on one server; `url` is empty until the server has told it.
struct Account {
  PrivateKey key;
  std::string url;
  std::string contact;
  std::optional<TimePoint> since{};  ///< When we first knew it.
};

/// What has been taken of a server's rate limits, as buckets of tokens: the moment when each will be full again. A
/// bucket that is not named is full.
using Spent = std::map<std::string, TimePoint>;

/// What STATE/accounts keeps: one folder for each directory URL, the key written before the server hears of it.
class Accounts {
 public:
  explicit Accounts(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// The account for this directory URL; nothing if there is none or its key is unreadable rubbish.
  /// Throws Error (ask_operator) for a file of a newer version.
  std::optional<Account> load(const std::string& directory_url) const;
  /// Another text whenever the files of the account are other ones; cheap.
  std::string stamp(const std::string& directory_url) const;

  /// Writes key and account; what was there is replaced file by file, each by one rename, the key first. With the URL
  /// of the account, they survive a power cut.
  void save(const std::string& directory_url, const Account& account) const;

  /// The key that an account is to have next, on disk before the server hears of it (RFC 8555 7.3.5); nothing if none
  /// is under way, or what is there is no key.
  std::optional<PrivateKey> next_key(const std::string& directory_url) const;
  /// It survives a power cut.
  void save_next_key(const std::string& directory_url, const PrivateKey& key) const;
  void forget_next_key(const std::string& directory_url) const;

  /// Keeps the key of an account that is no more as key.pem.deactivated, so that the next one is made afresh.
  void set_aside(const std::string& directory_url) const;

  /// The directory URLs of the accounts that are here, sorted. Throws Error if the folder may not be read.
  std::vector<std::string> servers() const;

  /// What this account has taken of the limits of its server; damaged, it is nothing.
  Spent load_spent(const std::string& directory_url) const;
  /// A power cut may cost it.
  void save_spent(const std::string& directory_url, const Spent& spent) const;

  /// Throws Error (ask_operator) if the file of this account was written by a newer version.
  void refuse_newer(const std::string& directory_url) const;

  /// Renames a key file that holds no key to key.pem.damaged; false if there was none.
  bool set_damaged_key_aside(const std::string& directory_url) const;

 private:
  std::filesystem::path folder_for(const std::string& directory_url) const;

  std::filesystem::path folder_;
};

/// The newest checked pair of a certificate, and where it comes from.
struct Held {
  CertifiedKey pair;
  std::string server;     ///< Directory URL.
  std::string order_url;  ///< Empty: not known.
};

/// A key that is chosen, and the orders under way that it is for. Stored before finalize, so that a restart picks them
/// up and nothing is ordered twice.
struct Pending {
  PrivateKey key;
  std::vector<Identifier> identifiers;
  std::map<std::string, std::string> orders;  ///< URLs, by directory URL: one for each server.
};

/// revoked.json: what `acme-agent revoke` has asked for, and what must not be forgotten of it.
struct Revocation {
  std::string certificate;                 ///< The leaf as PEM.
  std::string fingerprint;                 ///< Its SHA-256.
  std::string server;                      ///< Directory URL.
  bool confirmed = false;                  ///< The server has said that it is revoked.
  std::set<std::string> compromised_keys;  ///< Thumbprints (RFC 7638) of all that are not to be used again.

  bool operator==(const Revocation&) const = default;
};

enum class Reason { ari, lifetime, missing, changed, retry, forced, revoked };
std::string_view to_string(Reason reason);

/// What one endpoint served when it was looked at last.
struct Served {
  std::string endpoint;
  std::string address;
  bool ok = false;
  TimePoint checked;
  std::string detail;

  bool operator==(const Served&) const = default;
};

/// What is asked again and again of the held pair, so that it need not be parsed each time.
struct HeldFacts {
  std::string stamp;   ///< CertificateState::held_stamp() of the pair that they are of.
  std::string what;    ///< Kind of key and names, as in Record::inputs.
  std::string key;     ///< Thumbprint of the key (RFC 7638).
  std::string server;  ///< Directory URL.
  Validity validity;
  std::string fingerprint;      ///< SHA-256 of the leaf.
  std::string renewal_info_id;  ///< RFC 9773 4.1; empty: it has none.
  bool revoked = false;         ///< Or its key is compromised: to be replaced at once.
  bool superseded = false;      ///< Our own authority, which issued it, issues with another chain by now.

  bool operator==(const HeldFacts&) const = default;
};

/// How we stand with one server since the last certificate.
struct Standing {
  int step = 0;                           ///< Of the ladder of waits; 0: it has not failed.
  std::optional<TimePoint> next_attempt;  ///< What the ladder says.
  std::optional<TimePoint> not_before;    ///< What the server said.
  std::optional<TimePoint> turn;          ///< When its rate limits have room for our order.

  bool operator==(const Standing&) const = default;
};

/// When the server of the held certificate would have it renewed (RFC 9773).
struct RenewalAdvice {
  std::string id;                ///< Of the certificate that it is about.
  std::optional<Window> window;  ///< Nothing: the server gives none, or none that makes sense.
  std::string explanation_url;   ///< The one that was shown.
  std::optional<TimePoint> next_check;
  int failures = 0;
  std::optional<TimePoint> recalled{};  ///< When the server last took back the time that it had given a certificate.

  bool operator==(const RenewalAdvice&) const = default;
};

/// record.json: what happened last, what comes next, how often it failed. Everything in it can be lost without harm.
struct Record {
  struct Deploy {
    bool ok = false;
    std::optional<TimePoint> next_attempt;
    std::string last_error;  ///< Empty if there is none.
    int failures = 0;
    std::optional<TimePoint> last_look;
    std::optional<TimePoint> last_told;  ///< The last full look, which tells the broker what it does not serve.
    std::string rejected;                ///< SHA-256 fingerprint of a leaf that had to be rolled back; empty: none.
    std::string stamp;                   ///< Of the files in place, as Deployment::stamp.

    bool operator==(const Deploy&) const = default;
  };

  std::string inputs;  ///< Names, key type and server that the failures below were for: other inputs start afresh.
  std::optional<TimePoint> next_attempt;
  Reason reason = Reason::missing;
  std::optional<TimePoint> last_attempt;
  std::string last_error;  ///< Empty if there is none.
  int failures = 0;
  int interrupted = 0;  ///< Attempts in a row that began and of which nothing else is known: a crash, or a stop.
  std::map<std::string, Standing> servers;  ///< By directory URL; those without an entry have not failed.
  std::optional<HeldFacts> held;
  RenewalAdvice advice;
  std::filesystem::path cert_dir;         ///< Where it is deployed to.
  std::vector<std::string> further_dirs;  ///< --deploy: where to besides.
  Deploy deploy;
  std::vector<Served> served;

  bool operator==(const Record&) const = default;
};

/// STATE/certificates/<name>: the held pair, the record and the order under way of one certificate.
class CertificateState {
 public:
  explicit CertificateState(std::filesystem::path folder) : folder_(std::move(folder)) {}

  const std::filesystem::path& folder() const { return folder_; }

  /// Nothing if there is none, or what is there is no matching pair (a crash cannot cause that; a hand can).
  std::optional<Held> held() const;
  /// Another text whenever the files of the held pair are other ones; cheap.
  std::string held_stamp() const;
  /// Makes a checked pair the held one, by one rename. A full disk leaves the old one as it was.
  void hold(const Held& held) const;

  std::optional<Pending> pending() const;
  /// With an order, it survives a power cut.
  void save_pending(const Pending& pending) const;
  /// What cannot be removed does no harm: the held pair names its order.
  void clear_pending() const noexcept;

  /// A key of the future, which clients that pin keys are told of first; nothing if there is none.
  std::optional<PrivateKey> next_key() const;
  void save_next_key(const PrivateKey& key) const;
  /// Makes the next key the chosen one: the next order is for it, whatever else is said of keys.
  void choose_next_key() const;
  std::optional<PrivateKey> chosen_key() const;
  /// What cannot be removed does no harm but that it is used once more.
  void clear_chosen_key() const noexcept;

  /// Nothing if there is none. Throws Error (ask_operator) if it is damaged: a compromised key might be used again.
  std::optional<Revocation> revocation() const;
  /// It survives a power cut.
  void save_revocation(const Revocation& revocation) const;

  /// An empty record if there is none or it is damaged (then it is kept aside as record.json.damaged, and `damaged`
  /// tells). Throws Error (ask_operator) for a file of a newer version.
  struct Loaded {
    Record record;
    std::string damaged;  ///< What was wrong, one sentence; empty if nothing.
  };
  Loaded load_record() const;
  /// The same without touching anything, for who does not hold the lock; a damaged one is an empty one.
  Record peek_record() const;
  /// A power cut may cost it.
  void save_record(const Record& record) const;

  /// Throws Error (ask_operator) if a file was written by a newer version.
  void refuse_newer() const;

 private:
  std::filesystem::path folder_;
};

/// The state folder as a whole.
class StateFolder {
 public:
  explicit StateFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Makes what is missing, with the modes of the contract. Throws Error if it cannot be used.
  void create() const;

  const std::filesystem::path& path() const { return folder_; }
  std::filesystem::path lock_file() const { return folder_ / "lock"; }
  std::filesystem::path control_socket() const { return folder_ / "control.sock"; }
  std::filesystem::path live(const std::string& name) const { return folder_ / "live" / name; }
  Accounts accounts() const { return Accounts(folder_ / "accounts"); }
  /// Of the certificates that it has something of, sorted. Throws Error (ask_operator) if it may not be read.
  std::vector<std::string> names() const;
  CertificateState certificate(const std::string& name) const {
    return CertificateState(folder_ / "certificates" / name);
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace acme_agent
