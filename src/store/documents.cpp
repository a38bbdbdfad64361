#include "documents.hpp"

#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {
namespace {

using nlohmann::ordered_json;

constexpr std::uint64_t our_version = 1;
constexpr std::string_view first_lines = "{\n  \"version\": 1,\n";  // of each that we write
constexpr std::size_t largest_file = 1 << 20;

/// Far larger than anything we write.
bool too_large(const std::filesystem::path& path) {
  std::error_code none;
  const std::uintmax_t size = std::filesystem::file_size(path, none);
  return !none && size > largest_file;
}

/// Nothing if there is no file. Throws Damaged for one that cannot be ours, and Error if it cannot be read.
std::optional<Secret> read_ours(const std::filesystem::path& path) {
  try {
    return read_file(path, largest_file);
  } catch (const Error&) {
    if (too_large(path)) throw Damaged{"it is larger than any that we write"};
    throw;
  }
}

/// What `parse` makes of the file; nothing if there is none, or it is none of ours.
template <class Parse>
auto read_pem(const std::filesystem::path& path, Parse parse) -> std::optional<decltype(parse(Secret()))> {
  std::optional<Secret> pem;
  try {
    pem = read_ours(path);
  } catch (const Damaged&) {
  }
  if (!pem) return std::nullopt;
  try {
    return parse(*pem);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// The member of an object; null if it is missing.
const ordered_json& member(const ordered_json& object, const char* name) {
  static const ordered_json null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

Damaged unexpected(const char* name, std::string_view kind) {
  return Damaged{"\"" + std::string(name) + "\" is not " + std::string(kind)};
}

void read(const ordered_json& object, const char* name, std::string& value) {
  const ordered_json& field = member(object, name);
  if (field.is_null()) return;
  if (!field.is_string()) throw unexpected(name, "a text");
  value = field.get<std::string>();
}

void read(const ordered_json& object, const char* name, bool& value) {
  const ordered_json& field = member(object, name);
  if (field.is_null()) return;
  if (!field.is_boolean()) throw unexpected(name, "true or false");
  value = field.get<bool>();
}

void read(const ordered_json& object, const char* name, int& value) {
  const ordered_json& field = member(object, name);
  if (field.is_null()) return;
  constexpr std::uint64_t largest = std::numeric_limits<int>::max();
  if (!field.is_number_unsigned() || field.get<std::uint64_t>() > largest) throw unexpected(name, "a count");
  value = field.get<int>();
}

void read(const ordered_json& object, const char* name, std::optional<TimePoint>& value) {
  const ordered_json& field = member(object, name);
  if (field.is_null()) return;
  if (field.is_string()) value = parse_rfc3339(field.get_ref<const std::string&>());
  if (!value) throw unexpected(name, "a date");
}

/// The elements of a list, each of them an object.
const ordered_json& objects(const ordered_json& object, const char* name) {
  static const ordered_json empty = ordered_json::array();
  const ordered_json& field = member(object, name);
  if (field.is_null()) return empty;
  if (!field.is_array()) throw unexpected(name, "a list");
  for (const ordered_json& element : field) {
    if (!element.is_object()) throw unexpected(name, "a list of objects");
  }
  return field;
}

void read(const ordered_json& object, AccountDocument& document) {
  read(object, "directory", document.directory);
  read(object, "url", document.url);
  read(object, "contact", document.contact);
  read(object, "key", document.key);
  read(object, "since", document.since);
}

void read(const ordered_json& object, OrderDocument& document) {
  for (const ordered_json& element : objects(object, "orders")) {
    std::string server;
    read(element, "server", server);
    read(element, "order", document.orders[server]);
  }
  read(object, "key", document.key);
  for (const ordered_json& element : objects(object, "identifiers")) {
    std::string type;
    Identifier identifier;
    read(element, "type", type);
    read(element, "value", identifier.value);
    if (type != "dns" && type != "ip") throw unexpected("type", "\"dns\" or \"ip\"");
    identifier.type = type == "ip" ? Identifier::Type::ip : Identifier::Type::dns;
    document.identifiers.push_back(std::move(identifier));
  }
}

void read(const ordered_json& object, IssuedDocument& document) {
  read(object, "server", document.server);
  read(object, "order", document.order);
}

/// A word that we do not know keeps the default: later versions may have more reasons.
void read(const ordered_json& object, const char* name, Reason& value) {
  std::string word;
  read(object, name, word);
  for (const Reason known : {Reason::ari, Reason::lifetime, Reason::missing, Reason::changed, Reason::retry,
                             Reason::forced, Reason::revoked}) {
    if (word == to_string(known)) value = known;
  }
}

/// The member of that name, if it is there: it has to be an object.
const ordered_json* object_in(const ordered_json& object, const char* name) {
  const ordered_json& field = member(object, name);
  if (field.is_null()) return nullptr;
  if (!field.is_object()) throw unexpected(name, "an object");
  return &field;
}

void read(const ordered_json& object, Revocation& revocation) {
  read(object, "certificate", revocation.certificate);
  read(object, "fingerprint", revocation.fingerprint);
  read(object, "server", revocation.server);
  read(object, "confirmed", revocation.confirmed);
  const ordered_json& keys = member(object, "compromised_keys");
  if (!keys.is_array()) throw unexpected("compromised_keys", "a list");
  for (const ordered_json& key : keys) {
    if (!key.is_string()) throw unexpected("compromised_keys", "a list of texts");
    revocation.compromised_keys.insert(key.get<std::string>());
  }
}

void read(const ordered_json& object, Spent& spent) {
  const ordered_json* full_at = object_in(object, "full_at");
  if (full_at == nullptr) return;
  for (const auto& [bucket, moment] : full_at->items()) {
    std::optional<TimePoint> time;
    read(*full_at, bucket.c_str(), time);
    if (time) spent.emplace(bucket, *time);
  }
}

void read(const ordered_json& object, HeldFacts& facts) {
  std::optional<TimePoint> not_before;
  std::optional<TimePoint> not_after;
  read(object, "stamp", facts.stamp);
  read(object, "what", facts.what);
  read(object, "key", facts.key);
  read(object, "server", facts.server);
  read(object, "not_before", not_before);
  read(object, "not_after", not_after);
  read(object, "fingerprint", facts.fingerprint);
  read(object, "renewal_info_id", facts.renewal_info_id);
  read(object, "revoked", facts.revoked);
  read(object, "superseded", facts.superseded);
  if (!not_before || !not_after) throw unexpected("held", "complete");
  facts.validity = {*not_before, *not_after};
}

void read(const ordered_json& object, RenewalAdvice& advice) {
  std::optional<TimePoint> start;
  std::optional<TimePoint> end;
  read(object, "id", advice.id);
  read(object, "start", start);
  read(object, "end", end);
  read(object, "explanation_url", advice.explanation_url);
  read(object, "next_check", advice.next_check);
  read(object, "failures", advice.failures);
  read(object, "recalled", advice.recalled);
  if (start && end) advice.window = {*start, *end};
}

void read(const ordered_json& object, Record& record) {
  read(object, "inputs", record.inputs);
  read(object, "next_attempt", record.next_attempt);
  read(object, "reason", record.reason);
  read(object, "last_attempt", record.last_attempt);
  read(object, "last_error", record.last_error);
  read(object, "failures", record.failures);
  read(object, "interrupted", record.interrupted);
  for (const ordered_json& element : objects(object, "servers")) {
    std::string server;
    Standing standing;
    read(element, "server", server);
    read(element, "step", standing.step);
    read(element, "next_attempt", standing.next_attempt);
    read(element, "retry_after", standing.not_before);
    read(element, "turn", standing.turn);
    record.servers.emplace(std::move(server), standing);
  }
  if (const ordered_json* held = object_in(object, "held")) read(*held, record.held.emplace());
  if (const ordered_json* advice = object_in(object, "renewal_info")) read(*advice, record.advice);
  std::string cert_dir;
  read(object, "cert_dir", cert_dir);
  record.cert_dir = cert_dir;
  for (const ordered_json& element : objects(object, "further_dirs"))
    read(element, "folder", record.further_dirs.emplace_back());
  if (const ordered_json* deploy = object_in(object, "deploy")) {
    read(*deploy, "ok", record.deploy.ok);
    read(*deploy, "next_attempt", record.deploy.next_attempt);
    read(*deploy, "last_error", record.deploy.last_error);
    read(*deploy, "failures", record.deploy.failures);
    read(*deploy, "last_look", record.deploy.last_look);
    read(*deploy, "last_told", record.deploy.last_told);
    read(*deploy, "rejected", record.deploy.rejected);
    read(*deploy, "stamp", record.deploy.stamp);
  }
  for (const ordered_json& element : objects(object, "served")) {
    Served served;
    std::optional<TimePoint> checked;
    read(element, "endpoint", served.endpoint);
    read(element, "address", served.address);
    read(element, "ok", served.ok);
    read(element, "checked", checked);
    read(element, "detail", served.detail);
    served.checked = checked.value_or(TimePoint{});
    record.served.push_back(std::move(served));
  }
}

ordered_json date(const std::optional<TimePoint>& time) {
  return time ? ordered_json(format_rfc3339(*time)) : ordered_json();
}

ordered_json text_or_null(const std::string& text) {
  return text.empty() ? ordered_json() : ordered_json(text);
}

/// What came from elsewhere may be broken UTF-8, which must not keep us from writing the rest.
std::string dump(const ordered_json& object) {
  return object.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

void check_version(const ordered_json& object, const std::filesystem::path& path) {
  const ordered_json& version = member(object, "version");
  if (version.is_null()) return;
  if (!version.is_number_unsigned() || version == 0U) throw unexpected("version", "a version");
  if (version.get<std::uint64_t>() > our_version) {
    throw Error(Remedy::ask_operator, printable(path.native()) + " was written by a newer acme-agent (version " +
                                          version.dump() + "): upgrade this one, or move the file away");
  }
}

}  // namespace

std::string to_json(const AccountDocument& document) {
  return dump({{"version", our_version},
               {"directory", document.directory},
               {"url", document.url},
               {"contact", document.contact},
               {"key", document.key},
               {"since", date(document.since)}});
}

std::string to_json(const OrderDocument& document) {
  ordered_json orders = ordered_json::array();
  for (const auto& [server, order] : document.orders) orders.push_back({{"server", server}, {"order", order}});
  ordered_json identifiers = ordered_json::array();
  for (const Identifier& identifier : document.identifiers) {
    const bool ip = identifier.type == Identifier::Type::ip;
    identifiers.push_back({{"type", ip ? "ip" : "dns"}, {"value", identifier.value}});
  }
  return dump({{"version", our_version}, {"orders", orders}, {"key", document.key}, {"identifiers", identifiers}});
}

std::string to_json(const IssuedDocument& document) {
  return dump({{"version", our_version}, {"server", document.server}, {"order", document.order}});
}

std::string to_json(const Revocation& revocation) {
  return dump({{"version", our_version},
               {"certificate", revocation.certificate},
               {"fingerprint", revocation.fingerprint},
               {"server", revocation.server},
               {"confirmed", revocation.confirmed},
               {"compromised_keys", revocation.compromised_keys}});
}

std::string to_json(const Spent& spent) {
  ordered_json full_at = ordered_json::object();
  for (const auto& [bucket, time] : spent) full_at[bucket] = format_rfc3339(time);
  return dump({{"version", our_version}, {"full_at", full_at}});
}

std::string to_json(const Record& record) {
  ordered_json servers = ordered_json::array();
  for (const auto& [server, standing] : record.servers) {
    servers.push_back({{"server", server},
                       {"step", standing.step},
                       {"next_attempt", date(standing.next_attempt)},
                       {"retry_after", date(standing.not_before)},
                       {"turn", date(standing.turn)}});
  }
  ordered_json held;
  if (record.held)
    held = {{"stamp", record.held->stamp},
            {"what", record.held->what},
            {"key", record.held->key},
            {"server", record.held->server},
            {"not_before", format_rfc3339(record.held->validity.not_before)},
            {"not_after", format_rfc3339(record.held->validity.not_after)},
            {"fingerprint", record.held->fingerprint},
            {"renewal_info_id", text_or_null(record.held->renewal_info_id)},
            {"revoked", record.held->revoked},
            {"superseded", record.held->superseded}};
  const RenewalAdvice& advice = record.advice;
  ordered_json renewal_info = {{"id", text_or_null(advice.id)},
                               {"start", advice.window ? date(advice.window->start) : ordered_json()},
                               {"end", advice.window ? date(advice.window->end) : ordered_json()},
                               {"explanation_url", text_or_null(advice.explanation_url)},
                               {"next_check", date(advice.next_check)},
                               {"failures", advice.failures},
                               {"recalled", date(advice.recalled)}};
  ordered_json served = ordered_json::array();
  for (const Served& seen : record.served) {
    served.push_back({{"endpoint", seen.endpoint},
                      {"address", seen.address},
                      {"ok", seen.ok},
                      {"checked", format_rfc3339(seen.checked)},
                      {"detail", seen.detail}});
  }
  ordered_json deploy = {{"ok", record.deploy.ok},
                         {"next_attempt", date(record.deploy.next_attempt)},
                         {"last_error", text_or_null(record.deploy.last_error)},
                         {"failures", record.deploy.failures},
                         {"last_look", date(record.deploy.last_look)},
                         {"last_told", date(record.deploy.last_told)},
                         {"rejected", text_or_null(record.deploy.rejected)},
                         {"stamp", text_or_null(record.deploy.stamp)}};
  ordered_json further_dirs = ordered_json::array();
  for (const std::string& folder : record.further_dirs) further_dirs.push_back({{"folder", folder}});
  return dump({{"version", our_version},
               {"inputs", record.inputs},
               {"next_attempt", date(record.next_attempt)},
               {"reason", to_string(record.reason)},
               {"last_attempt", date(record.last_attempt)},
               {"last_error", text_or_null(record.last_error)},
               {"failures", record.failures},
               {"interrupted", record.interrupted},
               {"servers", std::move(servers)},
               {"held", std::move(held)},
               {"renewal_info", std::move(renewal_info)},
               {"cert_dir", record.cert_dir.string()},
               {"further_dirs", std::move(further_dirs)},
               {"deploy", std::move(deploy)},
               {"served", std::move(served)}});
}

template <class Document>
std::optional<Document> read_document(const std::filesystem::path& path) {
  const std::optional<Secret> text = read_ours(path);
  if (!text) return std::nullopt;
  const ordered_json object = ordered_json::parse(text->reveal(), nullptr, false);
  if (object.is_discarded()) throw Damaged{"it is not JSON"};
  if (!object.is_object()) throw Damaged{"it is not a JSON object"};
  check_version(object, path);
  Document document;
  read(object, document);
  return document;
}

void refuse_newer(const std::filesystem::path& path) {
  try {
    const std::optional<Secret> text = read_ours(path);
    if (!text || text->reveal().starts_with(first_lines)) return;
    const ordered_json object = ordered_json::parse(text->reveal(), nullptr, false);
    if (object.is_object()) check_version(object, path);
  } catch (const Damaged&) {
  }
}

template std::optional<AccountDocument> read_document(const std::filesystem::path&);
template std::optional<OrderDocument> read_document(const std::filesystem::path&);
template std::optional<IssuedDocument> read_document(const std::filesystem::path&);
template std::optional<Spent> read_document<Spent>(const std::filesystem::path&);
template std::optional<Revocation> read_document(const std::filesystem::path&);
template std::optional<Record> read_document(const std::filesystem::path&);

std::optional<PrivateKey> read_key(const std::filesystem::path& path) {
  return read_pem(path, [](const Secret& pem) { return PrivateKey::from_pem(pem); });
}

std::optional<CertificateChain> read_chain(const std::filesystem::path& path) {
  return read_pem(path, [](const Secret& pem) { return CertificateChain::from_pem(pem.reveal()); });
}

}  // namespace acme_agent
