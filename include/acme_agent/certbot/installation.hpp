#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <acme_agent/base/clock.hpp>
#include <acme_agent/certbot/renewal_conf.hpp>
#include <acme_agent/crypto/certificate.hpp>

namespace acme_agent {

/// An account that certbot has made.
struct CertbotAccount {
  PrivateKey key;
  std::string url;
  std::string contact;  ///< Mail address; empty: certbot has not noted one.
  std::optional<TimePoint> since;
};

/// A certificate that certbot looks after.
struct CertbotLineage {
  std::string name;
  std::string server;   ///< Directory URL.
  std::string account;  ///< certbot's own id of it.
  CertifiedKey pair;    ///< The key is that of the leaf; nothing else is checked.
  RenewalConf conf;
};

/// A configuration folder of certbot, like /etc/letsencrypt. It is only read; every file is bounded. What is wrong is
/// an Error (ask_operator) with one sentence that names the file.
class CertbotFolder {
 public:
  /// Throws Error if it is none.
  explicit CertbotFolder(std::filesystem::path folder);

  const std::filesystem::path& path() const { return folder_; }
  std::filesystem::path conf_of(const std::string& name) const { return folder_ / "renewal" / (name + ".conf"); }

  /// Names, sorted.
  std::vector<std::string> lineages() const;
  CertbotLineage lineage(const std::string& name) const;
  CertbotAccount account(const std::string& server, const std::string& id) const;
  /// Programs in renewal-hooks/, which certbot runs for every lineage.
  std::vector<std::filesystem::path> hooks() const;

 private:
  std::filesystem::path folder_;
};

/// A section of our configuration file that does what certbot did, without its heading.
struct Translation {
  std::vector<std::string> lines;  ///< "key = value", or "# …" where somebody has to decide.
  std::vector<std::string> left;   ///< What is not taken over, and what to do about it.
};
Translation translate(const CertbotLineage& lineage);

}  // namespace acme_agent
