#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/base/identifier.hpp>
#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/private_key.hpp>

namespace acme_agent {

/// An account on one server; `url` is empty until the server has told it.
struct Account {
  PrivateKey key;
  std::string url;
  std::string contact;
};

/// What STATE/accounts keeps: one folder for each directory URL, the key written before the server hears of it.
class Accounts {
 public:
  explicit Accounts(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// The account for this directory URL; nothing if there is none or its key is unreadable rubbish.
  /// Throws Error (ask_operator) for a file of a newer version.
  std::optional<Account> load(const std::string& directory_url) const;

  /// Writes key and account; what was there is replaced file by file, each by one rename, the key first. With the URL
  /// of the account, they survive a power cut.
  void save(const std::string& directory_url, const Account& account) const;

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

/// An order under way. Stored before finalize, so that a restart picks it up and nothing is ordered twice.
struct Pending {
  PrivateKey key;
  std::string server;     ///< Directory URL.
  std::string order_url;  ///< Empty while only the key is chosen.
  std::vector<Identifier> identifiers;
};

enum class Reason { lifetime, missing, changed, retry, forced };
std::string_view to_string(Reason reason);

/// What one endpoint served when it was looked at last.
struct Served {
  std::string endpoint;
  std::string address;
  bool ok = false;
  TimePoint checked;
  std::string detail;
};

/// record.json: what happened last, what comes next, how often it failed. Everything in it can be lost without harm.
struct Record {
  struct Deploy {
    bool ok = false;
    std::optional<TimePoint> next_attempt;
    std::string last_error;  ///< Empty if there is none.
    int failures = 0;
    std::optional<TimePoint> last_look;
    std::string rejected;  ///< SHA-256 fingerprint of a leaf that had to be rolled back; empty: none.
  };

  std::string inputs;  ///< Names, key type and server that the failures below were for: other inputs start afresh.
  std::optional<TimePoint> next_attempt;
  Reason reason = Reason::missing;
  std::optional<TimePoint> last_attempt;
  std::string last_error;  ///< Empty if there is none.
  int failures = 0;
  std::optional<TimePoint> not_before;  ///< The server asked not to be asked before.
  std::filesystem::path cert_dir;       ///< Where it is deployed to.
  Deploy deploy;
  std::vector<Served> served;
};

/// STATE/certificates/<name>: the held pair, the record and the order under way of one certificate.
class CertificateState {
 public:
  explicit CertificateState(std::filesystem::path folder) : folder_(std::move(folder)) {}

  const std::filesystem::path& folder() const { return folder_; }

  /// Nothing if there is none, or what is there is no matching pair (a crash cannot cause that; a hand can).
  std::optional<Held> held() const;
  /// Makes a checked pair the held one, by one rename. A full disk leaves the old one as it was.
  void hold(const Held& held) const;

  std::optional<Pending> pending() const;
  /// With the URL of an order, it survives a power cut.
  void save_pending(const Pending& pending) const;
  /// What cannot be removed does no harm: the held pair names its order.
  void clear_pending() const noexcept;

  /// An empty record if there is none or it is damaged (then it is kept aside as record.json.damaged, and `damaged`
  /// tells). Throws Error (ask_operator) for a file of a newer version.
  struct Loaded {
    Record record;
    std::string damaged;  ///< What was wrong, one sentence; empty if nothing.
  };
  Loaded load_record() const;
  /// The same without touching anything, for who does not hold the lock; a damaged one is an empty one.
  Record peek_record() const;
  /// Only if it differs from what is stored. A power cut may cost it.
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
  CertificateState certificate(const std::string& name) const {
    return CertificateState(folder_ / "certificates" / name);
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace acme_agent
