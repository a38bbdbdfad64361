#include "support/fake_ca/accounts.hpp"

#include <openssl/hmac.h>

#include <acme_agent/base/base64url.hpp>

namespace acme_agent::test {

using nlohmann::json;

namespace {

json contact_in(const json& payload) {
  const json contacts = payload.value("contact", json::array());
  for (const json& contact : contacts) {
    const std::string address = contact.is_string() ? contact.get<std::string>() : "";
    if (!address.starts_with("mailto:")) throw Refusal{400, "unsupportedContact", "no mail address: " + address};
    if (address.find('@') == std::string::npos) throw Refusal{400, "invalidContact", "invalid address: " + address};
  }
  return contacts;
}

Refusal deactivated() {
  return {403, "unauthorized", "the account is deactivated"};
}

std::string hmac(const EVP_MD* digest, const std::string& key, const std::string& data) {
  std::string code(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  HMAC(digest, key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(data.data()),
       data.size(), reinterpret_cast<unsigned char*>(code.data()), &size);
  code.resize(size);
  return code;
}

}  // namespace

Signer Accounts::signer(const json& header, By by) const {
  const bool has_kid = header.contains("kid");
  const bool has_jwk = header.contains("jwk");
  if (has_kid && has_jwk) throw malformed("jwk and kid are mutually exclusive");
  if (by == By::bare_key || (by == By::either && has_jwk)) {
    if (!has_jwk || !header["jwk"].is_object()) throw malformed("no jwk in the header");
    return {"", header["jwk"]};
  }
  const std::string kid = text_of(header, "kid");
  const std::string prefix = base_ + "/account/";
  if (!kid.starts_with(prefix)) throw malformed("kid is not the URL of an account");
  const auto account = accounts_.find(kid.substr(prefix.size()));
  if (account == accounts_.end()) throw Refusal{400, "accountDoesNotExist", "no account " + kid};
  if (account->second.deactivated) throw deactivated();
  return {account->first, account->second.jwk};
}

std::vector<json> Accounts::keys() const {
  std::vector<json> all;
  for (const auto& [id, account] : accounts_) all.push_back(account.jwk);
  return all;
}

const Account* Accounts::find(const json& jwk) const {
  for (const auto& [id, account] : accounts_)
    if (thumbprint(account.jwk) == thumbprint(jwk)) return &account;
  return nullptr;
}

Response Accounts::show(const Account& account, int status) const {
  Response response =
      reply(status, {{"status", account.deactivated ? "deactivated" : "valid"}, {"contact", account.contact}});
  response.headers.emplace("location", url_of(account));
  return response;
}

void Accounts::deactivate_all() {
  for (auto& [id, account] : accounts_) account.deactivated = true;
}

Response Accounts::new_account(const json& jwk, const json& payload, const std::string& id) {
  if (const Account* known = find(jwk)) {
    if (known->deactivated) throw deactivated();
    return show(*known, 200);
  }
  if (payload.value("onlyReturnExisting", false)) {
    throw Refusal{400, "accountDoesNotExist", "no account has this key"};
  }
  if (!payload.value("termsOfServiceAgreed", false)) {
    throw Refusal{403, "userActionRequired", "the terms of service were not agreed to"};
  }
  check_binding(jwk, payload);
  const json contacts = contact_in(payload);
  ++created_;
  const Account account{id, jwk, contacts};
  accounts_[account.id] = account;
  return show(account, 201);
}

/// RFC 8555 7.3.4
void Accounts::check_binding(const json& jwk, const json& payload) const {
  if (!payload.contains("externalAccountBinding")) {
    if (external_account_required) throw Refusal{403, "externalAccountRequired", "no external account binding"};
    return;
  }
  const Jws binding = read_jws(payload["externalAccountBinding"]);
  const std::string algorithm = text_of(binding.header, "alg");
  const EVP_MD* digest = algorithm == "HS256"   ? EVP_sha256()
                         : algorithm == "HS384" ? EVP_sha384()
                         : algorithm == "HS512" ? EVP_sha512()
                                                : nullptr;
  if (digest == nullptr) throw malformed("a binding is made with an HMAC");
  if (binding.header.contains("nonce")) throw malformed("a binding has no nonce");
  if (text_of(binding.header, "url") != base_ + "/new-account") throw malformed("the url of the binding is wrong");
  if (!binding.header.contains("kid")) throw malformed("a binding has a kid");
  const auto key = external_keys.find(text_of(binding.header, "kid"));
  if (key == external_keys.end()) throw Refusal{403, "unauthorized", "no key of that id"};
  if (hmac(digest, key->second, binding.signed_data) != binding.signature) {
    throw Refusal{403, "unauthorized", "the signature of the binding is wrong"};
  }
  const json bound = json::parse(binding.payload, nullptr, false);
  if (!bound.is_object() || thumbprint(bound) != thumbprint(jwk))
    throw Refusal{400, "badPublicKey", "the binding is for another key"};
}

Response Accounts::update(const std::string& id, const Signer& signer, const json& payload) {
  const auto found = accounts_.find(id);
  if (found == accounts_.end()) throw Refusal{404, "", ""};
  if (signer.account != id) throw not_yours();
  Account& account = found->second;
  if (payload.is_null()) return show(account, 200);
  const std::string status = text_of(payload, "status");
  if (!status.empty() && status != "deactivated") throw malformed("an account cannot be made " + status);
  if (payload.contains("contact")) account.contact = contact_in(payload);
  account.deactivated = status == "deactivated";
  return show(account, 200);
}

/// RFC 8555 7.3.5
Response Accounts::change_key(const Signer& signer, const std::string& url, const json& payload) {
  Account& account = accounts_.at(signer.account);
  const Jws inner = read_jws(payload);
  if (!inner.header.contains("jwk") || inner.header.contains("kid")) throw malformed("the inner JWS has no jwk");
  const json& fresh = inner.header["jwk"];
  check_signature(inner, fresh);
  if (text_of(inner.header, "url") != url) throw malformed("the url of the inner JWS is wrong");
  if (inner.header.contains("nonce")) throw malformed("the inner JWS has a nonce");
  const json change = json::parse(inner.payload, nullptr, false);
  if (text_of(change, "account") != url_of(account)) throw malformed("the key change names another account");
  if (!change.contains("oldKey") || thumbprint(change["oldKey"]) != thumbprint(account.jwk)) {
    throw malformed("the key change names another old key");
  }
  if (const Account* other = find(fresh)) {
    throw Refusal{409, "malformed", "another account has the new key", {}, url_of(*other)};
  }
  account.jwk = fresh;
  return show(account, 200);
}

}  // namespace acme_agent::test
