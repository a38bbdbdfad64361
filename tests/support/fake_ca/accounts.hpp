#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/fake_ca/jws.hpp"
#include "support/fake_ca/refusal.hpp"

namespace acme_agent::test {

struct Account {
  std::string id;
  nlohmann::json jwk;
  nlohmann::json contact = nlohmann::json::array();
  bool deactivated = false;
};

/// Who has signed a request.
struct Signer {
  std::string account;  ///< Its id; empty if signed by a bare key.
  nlohmann::json jwk;
};

/// The accounts of the server (RFC 8555 7.3). What is wrong with a request is thrown as a Refusal.
class Accounts {
 public:
  explicit Accounts(std::string base) : base_(std::move(base)) {}

  std::string url_of(const Account& account) const { return base_ + "/account/" + account.id; }

  /// Who `header` says has signed; `by_bare_key` and the rest are what the resource takes.
  enum class By { account, bare_key, either };
  Signer signer(const nlohmann::json& header, By by) const;

  std::vector<nlohmann::json> keys() const;

  /// RFC 8555 7.3 to 7.3.6; `id` is for an account that is made.
  Response new_account(const nlohmann::json& jwk, const nlohmann::json& payload, const std::string& id);
  /// `payload` is null for a POST-as-GET.
  Response update(const std::string& id, const Signer& signer, const nlohmann::json& payload);
  Response change_key(const Signer& signer, const std::string& url, const nlohmann::json& payload);

  void forget() { accounts_.clear(); }
  void deactivate_all();
  int created() const { return created_; }

  // As FakeCa describes them.
  bool external_account_required = false;
  std::map<std::string, std::string> external_keys{};  ///< MAC keys by the id of the key.

 private:
  const Account* find(const nlohmann::json& jwk) const;
  Response show(const Account& account, int status) const;
  void check_binding(const nlohmann::json& jwk, const nlohmann::json& payload) const;

  const std::string base_;
  std::map<std::string, Account> accounts_;
  int created_ = 0;
};

}  // namespace acme_agent::test
