#include <algorithm>
#include <nlohmann/json.hpp>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/entries.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/certbot/installation.hpp>
#include <acme_agent/crypto/private_jwk.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t largest_text = 64 * 1024;
constexpr std::size_t largest_pem = 1024 * 1024;
constexpr std::size_t most_lineages = 10'000;
constexpr std::size_t longest_url = 2000;

[[noreturn]] void refuse(std::string message) {
  throw Error(Remedy::ask_operator, std::move(message));
}

Secret read_needed(const fs::path& path, std::size_t limit) {
  std::optional<Secret> text = read_file(path, limit);
  if (!text) refuse("there is no " + printable(path.native()));
  return *std::move(text);
}

/// What `parse` makes of the file; its complaint names the file.
template <class Parse>
auto read_as(const fs::path& path, std::size_t limit, Parse parse) {
  const Secret text = read_needed(path, limit);
  try {
    return parse(text);
  } catch (const Error& error) {
    refuse(printable(path.native()) + ": " + error.message());
  }
}

json parse_object(const Secret& text) {
  json object = json::parse(text.reveal(), nullptr, false);
  if (!object.is_object()) refuse("it is not a JSON object");
  return object;
}

PrivateKey parse_account_key(const Secret& text) {
  json object = parse_object(text);
  JwkMembers members;
  for (auto& [name, value] : object.items()) {
    if (!value.is_string()) continue;
    auto& found = value.get_ref<std::string&>();
    members.emplace(name, Secret(found));
    std::fill(found.begin(), found.end(), '\0');
  }
  return read_private_jwk(members);
}

bool is_https(std::string_view url) {
  const auto odd = [](char c) { return c <= ' ' || c >= 0x7f; };
  return url.starts_with("https://") && url.size() > 8 && url.size() <= longest_url &&
         std::none_of(url.begin(), url.end(), odd);
}

std::string parse_account_url(const json& registration) {
  const auto uri = registration.find("uri");
  if (uri == registration.end() || !uri->is_string() || !is_https(uri->get_ref<const std::string&>()))
    refuse("\"uri\" is not the https:// URL of an account");
  return uri->get<std::string>();
}

/// The first mail address in "body": {"contact": ["mailto:…"]}.
std::string parse_contact(const json& registration) {
  constexpr std::string_view scheme = "mailto:";
  const auto body = registration.find("body");
  if (body == registration.end() || !body->is_object()) return "";
  const auto contact = body->find("contact");
  if (contact == body->end() || !contact->is_array()) return "";
  for (const json& one : *contact)
    if (one.is_string() && one.get_ref<const std::string&>().starts_with(scheme))
      return printable(one.get_ref<const std::string&>().substr(scheme.size()), 320);
  return "";
}

std::optional<TimePoint> read_creation(const fs::path& path) {
  try {
    const json meta = read_as(path, largest_text, parse_object);
    const auto created = meta.find("creation_dt");
    if (created == meta.end() || !created->is_string()) return std::nullopt;
    return parse_rfc3339(created->get_ref<const std::string&>());
  } catch (const Error&) {  // it is for people only
    return std::nullopt;
  }
}

bool is_name(std::string_view text) {
  constexpr std::string_view allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !text.empty() && text.size() <= 253 && text != "." && text != ".." &&
         text.find_first_not_of(allowed) == std::string_view::npos;
}

/// The entries of a folder, in order; none if there is no such folder.
std::vector<fs::path> sorted_entries_of(const fs::path& folder) {
  std::error_code failed;
  std::vector<fs::path> entries = entries_of(folder, failed);
  if (failed && failed != std::errc::no_such_file_or_directory) throw_errno("cannot read", folder, failed.value());
  if (entries.size() > most_lineages) refuse("there are too many files in " + printable(folder.native()));
  std::sort(entries.begin(), entries.end());
  return entries;
}

}  // namespace

CertbotFolder::CertbotFolder(fs::path folder) : folder_(std::move(folder)) {
  std::error_code failed;
  const fs::file_status status = fs::status(folder_ / "renewal", failed);
  if (fs::is_directory(status)) return;
  if (failed && failed != std::errc::no_such_file_or_directory && failed != std::errc::not_a_directory)
    throw_errno("cannot read", folder_ / "renewal", failed.value());
  refuse(printable(folder_.native()) +
         " is no folder of certbot's, as there is no renewal/ in it: give the one that has its configuration, like "
         "/etc/letsencrypt");
}

std::vector<std::string> CertbotFolder::lineages() const {
  std::vector<std::string> names;
  for (const fs::path& path : sorted_entries_of(folder_ / "renewal"))
    if (path.extension() == ".conf") names.push_back(path.stem().native());
  return names;
}

CertbotLineage CertbotFolder::lineage(const std::string& name) const {
  if (!is_name(name)) refuse("the name has other characters than letters, digits, '.', '_' and '-'");
  RenewalConf conf =
      read_as(conf_of(name), largest_text, [](const Secret& text) { return parse_renewal_conf(text.reveal()); });
  const std::string server = conf.param("server");
  if (!is_https(server))
    refuse(printable(conf_of(name).native()) + ": " +
           (server.empty() ? "it names no server" : "the server is not an https:// URL"));
  const fs::path live = folder_ / "live" / name;
  const auto chain = read_as(live / "fullchain.pem", largest_pem,
                             [](const Secret& pem) { return CertificateChain::from_pem(pem.reveal()); });
  const auto key = read_as(live / "privkey.pem", largest_pem, PrivateKey::from_pem);
  if (!chain.leaf().has_public_key_of(key))
    refuse("the key in " + printable(live.native()) +
           " is not that of the certificate beside it: if certbot is just renewing it, import it again afterwards");
  const std::string account = conf.param("account");
  return {name, server, account, {key, chain}, std::move(conf)};
}

CertbotAccount CertbotFolder::account(const std::string& server, const std::string& id) const {
  if (!is_name(id)) refuse("the renewal configuration names no account of certbot's");
  const fs::path place = fs::path(server.substr(server.find("://") + 3)).relative_path();  // as certbot does it
  if (std::find(place.begin(), place.end(), "..") != place.end()) refuse("the server's URL has '..' in it");
  const fs::path folder = folder_ / "accounts" / place / id;
  const json registration = read_as(folder / "regr.json", largest_text, parse_object);
  const auto url = [&] {
    try {
      return parse_account_url(registration);
    } catch (const Error& error) {
      refuse(printable((folder / "regr.json").native()) + ": " + error.message());
    }
  }();
  return {read_as(folder / "private_key.json", largest_text, parse_account_key), url, parse_contact(registration),
          read_creation(folder / "meta.json")};
}

std::vector<fs::path> CertbotFolder::hooks() const {
  std::vector<fs::path> hooks;
  for (const char* moment : {"pre", "deploy", "post"})
    for (const fs::path& hook : sorted_entries_of(folder_ / "renewal-hooks" / moment)) hooks.push_back(hook);
  return hooks;
}

}  // namespace acme_agent
